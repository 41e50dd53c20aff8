/* SPDX-License-Identifier: MIT */
#include "host/write_within.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host/clock.h"

bool write_within_adopt(int fd, struct error_text *error)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return error_set_errno(error, "%s", strerror(errno));
	if ((flags & O_ACCMODE) == O_RDONLY)
		return error_set(error, "it is open for reading only");
	return true;
}

static ssize_t write_some(int fd, const char *data, size_t length, bool append)
{
	struct iovec part = { (void *)data, length };

	if (append) {
		ssize_t n = syscall(SYS_pwritev2, fd, &part, 1, -1L, -1L, RWF_APPEND);
		/* A file that knows no flags, or a sandbox that does not know the call. */
		if (n >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EPERM))
			return n;
	}
	return write(fd, data, length);
}

size_t write_within(int fd, const void *data, size_t length, bool append, int timeout_ms)
{
	size_t written = 0;

	while (written < length) {
		int n_ready = clock_poll_ms(fd, POLLOUT, timeout_ms);
		/* RLIMIT_NOFILE is below 1: poll() cannot tell whether the reader is stalled. */
		if (n_ready < 0 && errno == EINVAL)
			n_ready = 1;
		/* EINTR: a vCPU that is kicked out of KVM_RUN reports why it left. */
		if (n_ready < 0 && errno == EINTR)
			continue;
		if (n_ready == 0)
			errno = ETIMEDOUT;
		if (n_ready <= 0)
			break;
		ssize_t n = write_some(fd, (const char *)data + written, length - written, append);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			break;
		if (n > 0)
			written += (size_t)n;
	}
	return written;
}
