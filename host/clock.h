/* SPDX-License-Identifier: MIT */
/* Reading clocks. */
#ifndef HOST_CLOCK_H
#define HOST_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Milliseconds of CLOCK_MONOTONIC, for time limits. */
static inline int64_t clock_now_ms(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000000;
}

/* poll() of one descriptor, but after a stop it does not go on by another system call (restart_syscall). */
int clock_poll_ms(int fd, short events, int ms);

/* Shorter if a signal comes. */
static inline void clock_pause_ms(int ms)
{
	clock_poll_ms(-1, 0, ms);
}

#endif
