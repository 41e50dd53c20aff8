/* SPDX-License-Identifier: MIT */
/* For a test of waits: the program's clock can be set back. */
#ifndef TESTS_UNIT_LAGGING_CLOCK_H
#define TESTS_UNIT_LAGGING_CLOCK_H

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LONG_TIME (-1000000)

/* CLOCK_MONOTONIC is earlier by so much. A wait that began LONG_TIME ago has no end in the test, however busy
 * the machine. */
static int64_t lag_ms;

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int result = (int)syscall(SYS_clock_gettime, clock, now);

	now->tv_sec -= lag_ms / 1000;
	return result;
}

#endif
