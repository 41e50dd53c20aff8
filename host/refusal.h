/* SPDX-License-Identifier: MIT */
/* The host may refuse a task for a worker of io_uring or KVM (pids.max, RLIMIT_NPROC). Retried for one second, then
 * given up. While the guest runs; the set-up has host/release.h. */
#ifndef HOST_REFUSAL_H
#define HOST_REFUSAL_H

#include <stdbool.h>
#include <stdint.h>

#include "host/clock.h"

/* Between two tries. */
#define REFUSAL_PAUSE_NS 50000000
#define REFUSAL_LAST_MS  1000

/* Zeroed, or since_ms set to 0, while the host does what is asked. */
struct refusal {
	int64_t since_ms, last_ms;
};

/* Notes a refusal. Returns whether to try again: refusals that follow each other last no more than REFUSAL_LAST_MS. */
static inline bool refusal_may_pass(struct refusal *refusal)
{
	int64_t now_ms = clock_now_ms();

	if (refusal->since_ms == 0 || now_ms - refusal->last_ms > REFUSAL_LAST_MS)
		refusal->since_ms = now_ms;
	refusal->last_ms = now_ms;
	return now_ms - refusal->since_ms <= REFUSAL_LAST_MS;
}

#endif
