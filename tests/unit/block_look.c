/* SPDX-License-Identifier: MIT */
/* What is said about an image that its user may not expect, and inherited images. Loop devices where root may make them. */
#include "virtio-mmio/block_look.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "tests/unit/check.h"

#define BYTES (1 << 20)

static char dir[] = "/tmp/vmm-look-XXXXXX";
static char path[64];
static struct error_text error;

static void make_file(const void *head, size_t head_bytes, size_t bytes)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
	CHECK(pwrite(fd, head, head_bytes, 0) == (ssize_t)head_bytes);
	close(fd);
}

/* Looks at the image; what is said then. */
static const char *said_of(struct block_image *image)
{
	static char text[4096];
	int ends[2], old_stderr = fcntl(2, F_DUPFD_CLOEXEC, 10);

	CHECK(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0 && dup2(ends[1], 2) == 2);
	block_look_at(image);
	CHECK(dup2(old_stderr, 2) == 2);
	close(old_stderr);
	close(ends[1]);
	ssize_t n = read(ends[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	return text;
}

static void test_formats(void)
{
	static const struct {
		const char *head, *what;
		size_t bytes;
	} cases[] = {
		{ "QFI\xfb\0\0\0\3", "a qcow2 image", 8 },
		{ "# Disk DescriptorFile\n", "a VMDK image's descriptor", 22 },
		{ "vmm overlay", "BASE,overlay=FILE takes it", 11 },
		{ "\x1f\x8b\x08", "a gzip file", 3 },
		{ "PK\x03\x04", "a zip file", 4 },
	};
	struct block_image image;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_file(cases[i].head, cases[i].bytes, BYTES);
		CHECK(block_image_open(&image, path, false, &error));
		const char *said = said_of(&image);
		CHECK_HAS(said, "it begins like ");
		CHECK_HAS(said, cases[i].what);
		CHECK(!image.head_unseen);
		block_image_close(&image);
	}
	make_file("QFI", 3, BYTES);
	CHECK(block_image_open(&image, path, false, &error));
	CHECK_STRING(said_of(&image), "");
	block_image_close(&image);
}

static void test_last_sector(void)
{
	struct block_image image;

	make_file("", 0, BYTES + 100);
	CHECK(block_image_open(&image, path, false, &error));
	CHECK_HAS(said_of(&image), "its last 100 bytes are no whole sector of 512");
	block_image_close(&image);
}

static void adopt_refused(int flags, bool read_only, const char *words)
{
	struct block_image image;
	int fd = open(path, flags | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK(!block_image_adopt(&image, "fd=9", fd, read_only, &error));
	CHECK_HAS(error.text, words);
	close(fd);
}

/* The launcher's descriptor: as it is open, so it is used. */
static void test_inherited(void)
{
	struct block_image image;

	make_file("", 0, BYTES);
	adopt_refused(O_RDONLY, false, "it is open for reading only, and ,ro is missing");
	adopt_refused(O_WRONLY, true, "");
	adopt_refused(O_RDWR | O_APPEND, false, "it is open with O_APPEND");
	adopt_refused(O_RDWR | O_NONBLOCK, false, "O_NONBLOCK");
	CHECK(block_image_adopt(&image, "fd=9", open(dir, O_RDONLY | O_CLOEXEC), true, &error) ==
	      false);
	CHECK_HAS(error.text, "it is a directory");
	close(image.fd);
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	CHECK(!block_image_adopt(&image, "fd=9", null_fd, false, &error));
	CHECK_HAS(error.text, "expected a raw image file or a block device");
	close(null_fd);
	for (int read_only = 0; read_only < 2; read_only++) {
		int fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
		CHECK(block_image_adopt(&image, "fd=9", fd, read_only, &error));
		CHECK_EQ(image.sectors, BYTES / SECTOR_BYTES);
		CHECK(image.inherited && image.is_regular && image.fd == fd);
		CHECK_STRING(said_of(&image), "");
		block_image_close(&image);
	}
}

/* A loop device for the file, or -1: nobody makes one here. Its path in `device`. */
static int loop_open(char *device, size_t bytes, int flags)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), fd = -1;
	int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	int file = open(path, flags | O_CLOEXEC);
	struct loop_info64 info = { .lo_flags = LO_FLAGS_AUTOCLEAR };

	CHECK(file >= 0);
	close(control);
	if (number >= 0) {
		snprintf(device, bytes, "/dev/loop%d", number);
		fd = open(device, O_RDWR | O_CLOEXEC);
	}
	if (fd >= 0 && ioctl(fd, LOOP_SET_FD, file) < 0) {
		close(fd);
		fd = -1;
	}
	if (fd >= 0) /* it goes with its last descriptor */
		CHECK_EQ(ioctl(fd, LOOP_SET_STATUS64, &info), 0);
	close(file);
	return fd;
}

static void test_file_of_a_loop_device(void)
{
	char device[32];
	struct block_image image;

	make_file("", 0, BYTES);
	int loop = loop_open(device, sizeof(device), O_RDWR);
	if (loop < 0) {
		printf("no loop devices here\n");
		return;
	}
	for (int read_only = 0; read_only < 2; read_only++) {
		CHECK(block_image_open(&image, path, read_only, &error));
		CHECK_HAS(said_of(&image), "it is also the host's ");
		block_image_close(&image);
	}
	close(loop);
	CHECK(block_image_open(&image, path, false, &error));
	CHECK_STRING(said_of(&image), "");
	block_image_close(&image);
}

static void test_device(void)
{
	char device[32];
	struct block_image image;

	make_file("", 0, BYTES);
	int loop = loop_open(device, sizeof(device), O_RDWR), read_only = 1;
	if (loop < 0)
		return;
	CHECK(block_image_open(&image, device, false, &error));
	CHECK_EQ(image.sectors, BYTES / SECTOR_BYTES);
	CHECK(!image.is_regular);
	CHECK_STRING(said_of(&image), "");
	block_image_close(&image);
	/* A mounted one is taken in this way. */
	int taken = open(device, O_RDONLY | O_EXCL | O_CLOEXEC);
	CHECK(taken >= 0);
	CHECK(!block_image_open(&image, device, false, &error));
	CHECK_HAS(error.text, "busy");
	CHECK(block_image_open(&image, device, true, &error));
	CHECK_HAS(said_of(&image), "it is mounted or otherwise in use on the host");
	block_image_close(&image);
	close(taken);
	CHECK(block_image_open(&image, device, true, &error));
	CHECK_STRING(said_of(&image), "");
	block_image_close(&image);
	CHECK_EQ(ioctl(loop, BLKROSET, &read_only), 0);
	CHECK(!block_image_open(&image, device, false, &error));
	CHECK_HAS(error.text, "read-only");
	read_only = 0;
	CHECK_EQ(ioctl(loop, BLKROSET, &read_only), 0);
	close(loop);
}

int main(void)
{
	CHECK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/image", dir);
	RUN(test_formats);
	RUN(test_last_sector);
	RUN(test_inherited);
	RUN(test_file_of_a_loop_device);
	RUN(test_device);
	CHECK(unlink(path) == 0 && rmdir(dir) == 0);
	return 0;
}
