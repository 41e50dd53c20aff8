/* SPDX-License-Identifier: MIT */
#include "host/release.h"

#include <errno.h>

#include "host/clock.h"
#include "host/signals.h"

#define LIMIT_MS 1000
#define PAUSE_MS 10u

bool release_wait(struct release_wait *wait)
{
	int error = errno;
	int64_t now_ms = clock_now_ms();

	if (wait->end_ms == 0)
		wait->end_ms = now_ms + LIMIT_MS;
	if (now_ms >= wait->end_ms)
		return false;
	signals_pause(PAUSE_MS);
	errno = error;
	return true;
}
