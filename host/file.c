/* SPDX-License-Identifier: MIT */
#include "host/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/fail.h"
#include "host/signals.h"

#define PIPE_WAIT_MS 20
#define PIPE_PIECE   (1u << 20)
/* To ask where data ends looks at each of its pages, for a tenth of what reading one costs: it is asked only where it
 * begins, every so often. */
#define STRETCH_BYTES (256u << 10)

int file_stat(const struct file_name *name, struct stat *status)
{
	return name->fd > 0 ? fstat(name->fd, status) : stat(name->text, status);
}

bool file_check_access(int fd, bool write, struct error_text *error)
{
	int flags = fcntl(fd, F_GETFL), mode = flags & O_ACCMODE;

	if (flags < 0 || (flags & O_PATH) || (!write && mode == O_WRONLY))
		return error_set(error, "it is not open for reading");
	return !write || mode != O_RDONLY || error_set(error, "it is open for reading only");
}

static bool measure(struct input_file *file, struct error_text *error)
{
	struct stat status;

	if (fstat(file->fd, &status) < 0)
		return error_set_errno(error, "%s", strerror(errno));
	if (!S_ISREG(status.st_mode))
		return error_set(error, "expected a regular file, this is %s",
				 S_ISDIR(status.st_mode) ? "a directory"
							 : "a device, pipe or socket");
	file->bytes = (uint64_t)status.st_size;
	return file->bytes > 0 || error_set(error, "the file is empty");
}

const char *file_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

int file_open_folder(const char *path)
{
	size_t length = (size_t)(file_base_name(path) - path);
	char folder[PATH_MAX];

	errno = ENAMETOOLONG;
	if (length + 2 > sizeof(folder))
		return -1;
	memcpy(folder, path, length);
	memcpy(folder + length, ".", 2);
	return open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

bool input_file_open(struct input_file *file, const char *path, struct error_text *error)
{
	/* O_NONBLOCK: opening a FIFO that nobody writes must not hang. */
	*file = (struct input_file){ .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) };
	if (file->fd < 0)
		return error_set_errno(error, "%s", strerror(errno));
	if (measure(file, error))
		return true;
	close(file->fd);
	return false;
}

/* Returns false with errno. */
static bool copy_pipe(int pipe_fd, int fd, uint64_t max_bytes)
{
	ssize_t n = 1;

	for (uint64_t bytes = 0; n != 0 && bytes <= max_bytes; bytes += n > 0 ? (uint64_t)n : 0) {
		n = -1;
		if (clock_poll_ms(pipe_fd, POLLIN, PIPE_WAIT_MS) <= 0)
			signals_pause(0);
		else if ((n = splice(pipe_fd, NULL, fd, NULL, PIPE_PIECE, 0)) < 0 &&
			 errno != EAGAIN && errno != EINTR)
			return false;
	}
	errno = EFBIG;
	return n == 0;
}

/* Into memory. */
static bool read_pipe(struct input_file *file, int pipe_fd, uint64_t max_bytes,
		      struct error_text *error)
{
	file->inherited = false;
	file->fd = memfd_create("vmm-input", MFD_CLOEXEC);
	if (file->fd >= 0 && copy_pipe(pipe_fd, file->fd, max_bytes))
		return true;
	if (errno == EFBIG)
		return error_set(error, "the pipe has more bytes than the guest's memory");
	return error_set_errno(error, "cannot read the pipe: %s", strerror(errno));
}

bool input_file_adopt(struct input_file *file, int fd, uint64_t max_bytes, struct error_text *error)
{
	struct stat status;

	*file = (struct input_file){ .fd = fd, .inherited = true };
	if (!file_check_access(fd, false, error))
		return false;
	if (fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) &&
	    !read_pipe(file, fd, max_bytes, error))
		return false;
	return measure(file, error);
}

void input_file_close(struct input_file *file)
{
	if (!file->inherited)
		close(file->fd);
	file->fd = -1;
}

bool input_file_read(const struct input_file *file, void *data, size_t length, uint64_t offset)
{
	uint8_t *at = data;

	if (offset > file->bytes || length > file->bytes - offset) {
		errno = 0;
		return false;
	}
	while (length > 0) {
		ssize_t n = pread(file->fd, at, length, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n == 0 ? 0 : errno; /* 0: cut short since it was opened */
			return false;
		}
		at += n;
		offset += (uint64_t)n;
		length -= (size_t)n;
	}
	return true;
}

/* Where data begins at or after `offset`; `limit` if there is only a hole before it. */
static uint64_t find_data(const struct input_file *file, uint64_t offset, uint64_t limit)
{
	off_t found = lseek(file->fd, (off_t)offset, SEEK_DATA);

	if (found < 0 && errno == ENXIO && lseek(file->fd, 0, SEEK_END) >= (off_t)limit)
		return limit;
	/* An error: the read will tell; the file was cut short, or has no SEEK_DATA. */
	return found < 0 ? offset : (uint64_t)found < limit ? (uint64_t)found : limit;
}

bool input_file_read_into_zeroes(const struct input_file *file, void *data, size_t length,
				 uint64_t offset)
{
	uint64_t first = offset, end = offset + length, stretch;

	if (offset > file->bytes || length > file->bytes - offset) {
		errno = 0;
		return false;
	}
	/* To look for data moves the description's position. */
	if (file->inherited)
		return input_file_read(file, data, length, offset);
	for (uint64_t from; (from = find_data(file, offset, end)) < end; offset = from + stretch) {
		stretch = end - from < STRETCH_BYTES ? end - from : STRETCH_BYTES;
		if (!input_file_read(file, (uint8_t *)data + (from - first), (size_t)stretch, from))
			return false;
	}
	return true;
}

void file_reserve_stdio(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			/* open() takes the lowest free number, which is fd: those below are open. */
			if (open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) < 0)
				fail_errno(EXIT_HOST_REFUSED,
					   "descriptor %d is closed, and /dev/null cannot be "
					   "opened in its place",
					   fd);
}

static void close_range_of(unsigned first, unsigned last)
{
	/* Linux 5.9; io_uring needs a later one. */
	if (first <= last)
		syscall(SYS_close_range, first, last, 0);
}

void file_close_others(const int *kept, unsigned n)
{
	unsigned first = STDERR_FILENO + 1;

	for (unsigned i = 0; i < n; i++) {
		close_range_of(first, (unsigned)kept[i] - 1);
		first = (unsigned)kept[i] + 1;
	}
	close_range_of(first, ~0u);
}

void file_reserve_descriptors(unsigned n)
{
	struct rlimit limit;

	if (prlimit(0, RLIMIT_NOFILE, NULL, &limit) < 0)
		return;
	if (limit.rlim_cur < n) {
		limit.rlim_cur = n < limit.rlim_max ? n : limit.rlim_max;
		prlimit(0, RLIMIT_NOFILE, &limit, NULL);
	}
	/* The kernel's table grows with the highest number that is in use. */
	int highest = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC,
			    (int)(limit.rlim_cur < n ? limit.rlim_cur : n) - 1);
	if (highest >= 0)
		close(highest);
}
