/* SPDX-License-Identifier: MIT */
/* The event loop under test, and a VM that does not exist. */
#ifndef TESTS_UNIT_RING_RIG_H
#define TESTS_UNIT_RING_RIG_H

#include "host/clock.h"
#include "host/ring.h"
#include "tests/unit/check.h"
#include "tests/unit/irq_rig.h"

#define RIG_WAIT_MS 20000

static struct ring rig_ring;

/* Runs the ring until the condition holds; the test fails if that takes too long. */
#define RIG_RUN_UNTIL(condition)                                                                   \
	do {                                                                                       \
		int64_t end = clock_now_ms() + RIG_WAIT_MS;                                        \
		while (!(condition)) {                                                             \
			CHECK(clock_now_ms() < end);                                               \
			CHECK_EQ(ring_wait_for(&rig_ring, 20), 0);                                 \
		}                                                                                  \
	} while (0)

/* Runs the ring for a moment in which nothing should happen. */
static inline void rig_idle(void)
{
	for (int i = 0; i < 3; i++)
		CHECK_EQ(ring_wait_for(&rig_ring, 1), 0);
}

#endif
