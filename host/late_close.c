#include "host/late_close.h"

#include <unistd.h>

#include <liburing.h>

/* A file in an io_uring's table is released by the kernel's worker that takes the ring down, after the process that
 * had it. The devices' ring would do as well, but it may have operations that end late, on a disk that hangs. */
void late_close(int fd)
{
	struct io_uring uring;

	if (io_uring_queue_init(1, &uring, 0) == 0)
		io_uring_register_files(&uring, &fd, 1);
	/* The ring stays open until the process ends. */
	close(fd);
}
