/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/block_look.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host/ioctl.h"
#include "host/message.h"
#include "host/text.h"

#define CLAIM_TRIES  5
#define CLAIM_NAP_US 1000

#define CONVERT "qemu-img convert -O raw makes a raw image of it"
#define UNPACK  "is the image packed in it?"

static const struct {
	const char *magic;
	size_t bytes;
	const char *what, *remedy;
} formats[] = {
	{ "QFI\xfb", 4, "a qcow2 image", CONVERT },
	{ "KDMV", 4, "a VMDK image", CONVERT },
	{ "COWD", 4, "a VMDK image", CONVERT },
	{ "# Disk DescriptorFile", 21, "a VMDK image's descriptor", CONVERT },
	{ "conectix", 8, "a VHD image", CONVERT },
	{ "vhdxfile", 8, "a VHDX image", CONVERT },
	{ "<<< Oracle VM VirtualBox", 24, "a VDI image", CONVERT },
	{ "vmm overlay", 11, "an overlay of vmm", "BASE,overlay=FILE takes it" },
	{ "QED", 4, "a QED image", CONVERT },
	{ "\x1f\x8b", 2, "a gzip file", UNPACK },
	{ "\xfd\x37zXZ", 6, "an xz file", UNPACK },
	{ "\x28\xb5\x2f\xfd", 4, "a zstd file", UNPACK },
	{ "BZh", 3, "a bzip2 file", UNPACK },
	{ "PK\x03\x04", 4, "a zip file", UNPACK },
};

void block_look_at_head(const struct block_image *image, const char *head)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (memcmp(head, formats[i].magic, formats[i].bytes) != 0)
			continue;
		warn("disk %s: it begins like %s; the guest gets these bytes as they are (%s)",
		     image->path, formats[i].what, formats[i].remedy);
		return;
	}
}

/* Whether a read may wait, but not for long: the file lies in memory, or where the host's own programs do. */
static bool is_near(int fd)
{
	struct statfs status;

	return fstatfs(fd, &status) == 0 &&
	       (status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC ||
		status.f_type == OVERLAYFS_SUPER_MAGIC);
}

static ssize_t read_head_now(int fd, char *head)
{
	struct iovec to = { head, BLOCK_HEAD_BYTES };

	return syscall(SYS_preadv2, fd, &to, 1, 0L, 0L, RWF_NOWAIT);
}

static bool cannot_be_read_now(ssize_t result)
{
	return result < 0 && errno != EAGAIN;
}

bool block_look_whether_reads_wait(int fd)
{
	char head[BLOCK_HEAD_BYTES];

	return cannot_be_read_now(read_head_now(fd, head));
}

/* Never waits for a disk that hangs: it must not delay the VM's start nor, by a worker that waits for it, the process's
 * end. */
static void look_at_head(struct block_image *image)
{
	char head[BLOCK_HEAD_BYTES];
	ssize_t n = read_head_now(image->fd, head);

	image->reads_need_worker = cannot_be_read_now(n);
	if (image->reads_need_worker && is_near(image->fd))
		n = pread(image->fd, head, sizeof(head), 0);
	image->head_unseen = n != BLOCK_HEAD_BYTES && !image->reads_need_worker;
	if (n != BLOCK_HEAD_BYTES)
		return;
	block_look_at_head(image, head);
}

/* Whether no one else has the file open. If someone opens it meanwhile the signal is one that is ignored. */
static bool is_ours_alone(int fd)
{
	if (fcntl(fd, F_SETSIG, SIGURG) < 0 || fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
		return false;
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return true;
}

/* One line of a file in /sys without its newline; false if there is none. */
static bool read_sysfs(const char *device, const char *file, char *text, size_t bytes)
{
	char path[300];

	text_format(path, sizeof(path), "/sys/block/%s/%s", device, file);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, bytes - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return n > 0;
}

/* Whether loop device `device` and the guest both have the file, and one of them writes. */
static bool is_shared_with(const char *device, const struct block_image *image,
			   const struct stat *status)
{
	char backing[4096], read_only[8];
	struct stat other;

	return strncmp(device, "loop", 4) == 0 &&
	       read_sysfs(device, "loop/backing_file", backing, sizeof(backing)) &&
	       stat(backing, &other) == 0 && other.st_dev == status->st_dev &&
	       other.st_ino == status->st_ino &&
	       !(image->read_only && read_sysfs(device, "ro", read_only, sizeof(read_only)) &&
		 read_only[0] == '1');
}

static void warn_of_loop_device(const struct block_image *image, const struct stat *status)
{
	DIR *devices = is_ours_alone(image->fd) ? NULL : opendir("/sys/block");
	const struct dirent *device;

	if (devices == NULL)
		return;
	while ((device = readdir(devices)) != NULL) {
		if (!is_shared_with(device->d_name, image, status))
			continue;
		warn("disk %s: it is also the host's /dev/%s (is it mounted?): two that use it at "
		     "once damage it, or read nonsense",
		     image->path, device->d_name);
		break;
	}
	closedir(devices);
}

/* For a reader, which must not keep the device: other VMs may read it, too. One of them may make the same check now. */
static bool is_claimed(const char *path)
{
	for (int tries = CLAIM_TRIES; tries > 0; tries--) {
		int fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);
		if (fd >= 0)
			close(fd);
		if (fd >= 0 || errno != EBUSY)
			return false;
		usleep(CLAIM_NAP_US);
	}
	return true;
}

static void warn_of_claimed_device(const struct block_image *image)
{
	int device_is_read_only = 0;

	if (!image->read_only || host_ioctl(image->fd, BLKROGET, &device_is_read_only) < 0 ||
	    device_is_read_only || !is_claimed(image->path))
		return;
	warn("disk %s: it is mounted or otherwise in use on the host: when it is written there the "
	     "guest reads nonsense",
	     image->path);
}

void block_look_at(struct block_image *image)
{
	struct stat status;

	look_at_head(image);
	if (fstat(image->fd, &status) < 0)
		return;
	if (S_ISBLK(status.st_mode)) {
		if (!image->inherited)
			warn_of_claimed_device(image);
		return;
	}
	if (status.st_size % SECTOR_BYTES != 0)
		warn("disk %s: its last %u bytes are no whole sector of %u: they are out of the "
		     "guest's reach",
		     image->path, (unsigned)(status.st_size % SECTOR_BYTES), SECTOR_BYTES);
	if (!image->inherited)
		warn_of_loop_device(image, &status);
}
