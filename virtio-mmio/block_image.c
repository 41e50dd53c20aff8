/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/block_image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/file.h"
#include "host/ioctl.h"
#include "host/release.h"
#include "host/text.h"

static const char with_ro[] = " (with ,ro it is opened for reading only)";

static bool lock_refused(const struct block_image *image, struct error_text *error)
{
	if (errno == EAGAIN || errno == EACCES)
		return error_set_refused(error, "it is in use: %s",
					 image->read_only
						 ? "another VM or process writes to it"
						 : "another VM or process holds a lock on it");
	return error_set_errno(error, "cannot lock it: %s", strerror(errno));
}

/* OFD locks belong to the open file and not to the process: they also refuse an image that is named twice. */
bool block_image_lock(const struct block_image *image, struct error_text *error)
{
	struct flock lock = {
		.l_type = image->read_only ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};
	struct release_wait wait = { 0 };

	while (fcntl(image->fd, F_OFD_SETLK, &lock) < 0)
		if ((errno != EAGAIN && errno != EACCES) || !release_wait(&wait))
			return lock_refused(image, error);
	return true;
}

static int open_image(const char *path, int flags)
{
	struct release_wait wait = { 0 };
	int fd = open(path, flags);

	while (fd < 0 && errno == EBUSY && release_wait(&wait))
		fd = open(path, flags);
	return fd;
}

static bool measure_image(struct block_image *image, struct error_text *error)
{
	struct stat status;
	uint64_t bytes = 0;

	if (fstat(image->fd, &status) < 0)
		return error_set_errno(error, "%s", strerror(errno));
	image->is_regular = S_ISREG(status.st_mode);
	if (image->is_regular)
		bytes = (uint64_t)status.st_size;
	else if (!S_ISBLK(status.st_mode))
		return error_set(error, "expected a raw image file or a block device");
	else if (host_ioctl(image->fd, BLKGETSIZE64, &bytes) < 0)
		return error_set_errno(error, "cannot read its size: %s", strerror(errno));
	if (bytes < SECTOR_BYTES)
		return error_set(error, "it has %llu bytes, expected at least one sector of %u",
				 (unsigned long long)bytes, SECTOR_BYTES);
	image->sectors = bytes / SECTOR_BYTES;
	return true;
}

/* A read-only device can be opened for writing; only the writes fail. */
static bool can_be_written(const struct block_image *image, struct error_text *error)
{
	int read_only = 0;

	if (host_ioctl(image->fd, BLKROGET, &read_only) < 0 || !read_only)
		return true;
	return error_set(error, "the device is read-only%s", with_ro);
}

static bool can_be_image(const struct stat *status, struct error_text *error)
{
	if (S_ISDIR(status->st_mode))
		return error_set(error, "it is a directory, expected a raw image file or a block "
					"device");
	return S_ISREG(status->st_mode) || S_ISBLK(status->st_mode) ||
	       error_set(error, "expected a raw image file or a block device");
}

static bool take_image(struct block_image *image, const struct stat *status,
		       struct error_text *error)
{
	return (!S_ISBLK(status->st_mode) || image->read_only || can_be_written(image, error)) &&
	       block_image_lock(image, error) && measure_image(image, error);
}

bool block_image_check_flags(int fd, struct error_text *error)
{
	return !(fcntl(fd, F_GETFL) & (O_APPEND | O_DIRECT | O_NONBLOCK)) ||
	       error_set(error, "it is open with O_APPEND, O_DIRECT or O_NONBLOCK");
}

bool block_image_adopt(struct block_image *image, const char *name, int fd, bool read_only,
		       struct error_text *error)
{
	struct stat status = { 0 };

	*image = (struct block_image){
		.fd = fd, .path = name, .read_only = read_only, .inherited = true
	};
	fstat(fd, &status);
	if (!can_be_image(&status, error) || !file_check_access(fd, false, error))
		return false;
	if (!read_only && !file_check_access(fd, true, error))
		return error_set(error, "it is open for reading only, and ,ro is missing");
	return block_image_check_flags(fd, error) && take_image(image, &status, error);
}

bool block_image_open(struct block_image *image, const char *path, bool read_only,
		      struct error_text *error)
{
	struct stat status;
	int flags = O_CLOEXEC | O_NOCTTY | (read_only ? O_RDONLY : O_RDWR);

	*image = (struct block_image){ .path = path, .read_only = read_only };
	/* Before it is opened: opening a FIFO would wait for its writer. */
	if (stat(path, &status) < 0)
		return error_set_errno(error, "%s", strerror(errno));
	if (!can_be_image(&status, error))
		return false;
	/* The kernel refuses O_EXCL on a block device that is mounted or otherwise taken. */
	if (S_ISBLK(status.st_mode) && !read_only)
		flags |= O_EXCL;
	image->fd = open_image(path, flags);
	if (image->fd < 0)
		return error_set_errno(error, "%s%s", strerror(errno),
				       !read_only && (errno == EACCES || errno == EROFS) ? with_ro
											 : "");
	if (take_image(image, &status, error))
		return true;
	close(image->fd);
	return false;
}

void block_image_set_id(struct block_image *image, unsigned index)
{
	text_format(image->id, sizeof(image->id), "vmm-disk-%u", index);
}

void block_image_unlock(const struct block_image *image)
{
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	fcntl(image->fd, F_OFD_SETLK, &lock);
}

void block_image_close(struct block_image *image)
{
	close(image->fd);
	image->fd = -1;
}
