/* SPDX-License-Identifier: MIT */
/* Opening images: what is refused and why, and the lock against a second writer. */
#include "virtio-mmio/block_image.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "tests/unit/check.h"

static char dir[] = "/tmp/vmm-test-XXXXXX";
static char path[64], other_path[64];
static struct error_text error;

static void make_file(const char *name, size_t bytes)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
	close(fd);
}

static void check_refused(const char *name, bool read_only, const char *part)
{
	struct block_image image;

	CHECK(!block_image_open(&image, name, read_only, &error));
	CHECK_HAS(error.text, part);
}

static void test_refused(void)
{
	for (int read_only = 0; read_only < 2; read_only++) {
		check_refused(path, read_only, "No such file");
		check_refused(dir, read_only, "it is a directory");
		check_refused("/dev/null", read_only,
			      "expected a raw image file or a block device");
		CHECK(mkfifo(path, 0600) == 0);
		check_refused(path, read_only, "expected a raw image file or a block device");
		CHECK(unlink(path) == 0);
		make_file(path, 0);
		check_refused(path, read_only, "it has 0 bytes");
		make_file(path, 511);
		check_refused(path, read_only, "it has 511 bytes");
		CHECK(unlink(path) == 0);
	}
}

static void test_sizes(void)
{
	static const struct {
		size_t bytes;
		uint64_t sectors;
	} cases[] = { { 512, 1 },
		      { 513, 1 },
		      { 1023, 1 },
		      { 1024, 2 },
		      { 1 << 20, 2048 },
		      { (size_t)1 << 40, (uint64_t)1 << 31 },
		      { ((size_t)1 << 40) + 511, 1u << 31 } };
	struct block_image image;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_file(path, cases[i].bytes);
		CHECK(block_image_open(&image, path, false, &error));
		CHECK_EQ(image.sectors, cases[i].sectors);
		block_image_close(&image);
	}
	CHECK(unlink(path) == 0);
}

/* The open mode keeps a read-only image read-only, whoever asks. */
static void test_read_only_is_the_open_mode(void)
{
	struct block_image image;

	make_file(path, 512);
	CHECK(block_image_open(&image, path, true, &error));
	CHECK_EQ(fcntl(image.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	CHECK(fcntl(image.fd, F_GETFD) & FD_CLOEXEC);
	CHECK(image.read_only);
	block_image_close(&image);
	CHECK(block_image_open(&image, path, false, &error));
	CHECK_EQ(fcntl(image.fd, F_GETFL) & O_ACCMODE, O_RDWR);
	block_image_close(&image);
	CHECK(unlink(path) == 0);
}

/* As another user than root: a file that may only be read. */
static void test_read_only_file(void)
{
	struct block_image image;

	make_file(path, 512);
	CHECK(chmod(path, 0444) == 0 && chmod(dir, 0755) == 0);
	if (geteuid() == 0)
		CHECK(seteuid(65534) == 0);
	check_refused(path, false, "with ,ro it is opened for reading only");
	CHECK(block_image_open(&image, path, true, &error));
	block_image_close(&image);
	CHECK(getuid() != 0 || seteuid(0) == 0);
	CHECK(unlink(path) == 0);
}

/* Readers share; a writer is alone; also when both are this one process. */
static void test_locks(void)
{
	static const bool compatible[2][2] = { { false, false }, { false, true } };
	struct block_image first, second;

	make_file(path, 512);
	for (int a = 0; a < 2; a++)
		for (int b = 0; b < 2; b++) {
			CHECK(block_image_open(&first, path, a, &error));
			bool opened = block_image_open(&second, path, b, &error);
			CHECK_EQ(opened, compatible[a][b]);
			if (opened)
				block_image_close(&second);
			else
				CHECK_HAS(error.text, "it is in use");
			CHECK(opened || error.code == EXIT_HOST_REFUSED);
			block_image_close(&first);
		}
	CHECK(block_image_open(&first, path, false, &error)); /* the lock went with the file */
	CHECK(link(path, other_path) == 0);
	check_refused(other_path, false, "it is in use"); /* the same image by another name */
	block_image_close(&first);
	CHECK(unlink(path) == 0 && unlink(other_path) == 0);
}

/* An id is the disk's place in the VM: the same for every image, and at every start. */
static void test_ids(void)
{
	struct block_image first, other;

	make_file(path, 512);
	make_file(other_path, 512);
	CHECK(block_image_open(&first, path, true, &error));
	CHECK(block_image_open(&other, other_path, true, &error));
	block_image_set_id(&first, 0);
	block_image_set_id(&other, 15);
	CHECK_STRING(first.id, "vmm-disk-0");
	CHECK_STRING(other.id, "vmm-disk-15");
	block_image_set_id(&other, 0);
	CHECK_BYTES(other.id, first.id, BLOCK_ID_BYTES);
	block_image_close(&first);
	block_image_close(&other);
	CHECK(unlink(path) == 0 && unlink(other_path) == 0);
}

int main(void)
{
	CHECK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/image", dir);
	snprintf(other_path, sizeof(other_path), "%s/other", dir);
	RUN(test_refused);
	RUN(test_sizes);
	RUN(test_read_only_is_the_open_mode);
	RUN(test_read_only_file);
	RUN(test_locks);
	RUN(test_ids);
	CHECK(rmdir(dir) == 0);
	return 0;
}
