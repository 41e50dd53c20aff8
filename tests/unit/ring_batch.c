/* SPDX-License-Identifier: MIT */
/* A batch of completions makes room for others before its callbacks run: these may have to submit, and Linux before 5.19 takes nothing
 * (EBUSY) while completions are behind that have found none. */
#include <sys/eventfd.h>

#include "tests/unit/ring_rig.h"

#define EVENTS 8u

static int fds[EVENTS];
static uint64_t counts[EVENTS];
static unsigned n_done, n_ready;

static void done(struct ring_op *op, int32_t result)
{
	(void)op;
	CHECK_EQ(result, sizeof(counts[0]));
	n_done++;
	n_ready += io_uring_cq_ready(&rig_ring.uring);
}

static struct ring_op op = { done };

static void test_room_before_the_callbacks(void)
{
	for (unsigned i = 0; i < EVENTS; i++) {
		struct io_uring_sqe *sqe = ring_prepare(&rig_ring);
		fds[i] = eventfd(1, EFD_CLOEXEC);
		CHECK(fds[i] >= 0);
		io_uring_prep_read(sqe, fds[i], &counts[i], sizeof(counts[i]), 0);
		ring_commit(sqe, &op);
	}
	RIG_RUN_UNTIL(n_done == EVENTS);
	CHECK_EQ(n_ready, 0);
	for (unsigned i = 0; i < EVENTS; i++)
		close(fds[i]);
}

int main(void)
{
	ring_open(&rig_ring, 16);
	ring_start(&rig_ring);
	RUN(test_room_before_the_callbacks);
	ring_close(&rig_ring);
	return 0;
}
