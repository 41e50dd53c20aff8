/* SPDX-License-Identifier: MIT */
#include "host/clock.h"

#include <poll.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

int clock_poll_ms(int fd, short events, int ms)
{
	struct pollfd polled = { fd, events, 0 };
	struct timespec limit = { ms / 1000, ms % 1000 * 1000000L };

	return (int)syscall(SYS_ppoll, &polled, fd >= 0, &limit, NULL, 0L);
}
