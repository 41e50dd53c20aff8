/* SPDX-License-Identifier: MIT */
/* Polling before sleeping: finds what comes at once, stops after misses, and leaves the CPU to workers. */
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "tests/unit/ring_rig.h"

static int event_fd;
static uint64_t count;
static unsigned n_events, n_pauses;

static void event_done(struct ring_op *op, int32_t result)
{
	(void)op;
	CHECK_EQ(result, sizeof(count));
	n_events++;
}

static void pause_done(struct ring_op *op, int32_t result)
{
	(void)op;
	CHECK_EQ(result, -ETIME);
	n_pauses++;
}

static struct ring_op event_op = { event_done }, pause_op = { pause_done };

static void prepare_event(void)
{
	struct io_uring_sqe *sqe = ring_prepare(&rig_ring);

	io_uring_prep_read(sqe, event_fd, &count, sizeof(count), 0);
	ring_commit(sqe, &event_op);
}

/* Something that is done later than any polling lasts. */
static void wait_for_pause(void)
{
	static struct __kernel_timespec time = { .tv_nsec = 2000000 };
	struct io_uring_sqe *sqe = ring_prepare(&rig_ring);
	unsigned before = n_pauses;

	io_uring_prep_timeout(sqe, &time, 0, 0);
	ring_commit(sqe, &pause_op);
	while (n_pauses == before)
		CHECK_EQ(ring_wait(&rig_ring), 0);
}

static void ring_event(void)
{
	uint64_t one = 1;

	CHECK_EQ(write(event_fd, &one, sizeof(one)), sizeof(one));
}

static long sleeps(void)
{
	struct rusage usage;

	CHECK_EQ(getrusage(RUSAGE_THREAD, &usage), 0);
	return usage.ru_nvcsw;
}

static void test_none_at_first(void)
{
	unsigned before = rig_ring.polling.waits_without;

	CHECK(before > 0);
	wait_for_pause();
	CHECK_EQ(rig_ring.polling.waits_without, before - 1);
	CHECK_EQ(rig_ring.polling.misses, 0);
}

/* Each miss doubles the waits before it polls again, up to 256. */
static void test_misses(void)
{
	rig_ring.polling.waits_without = 0;
	for (unsigned misses = 1; misses <= 10; misses++) {
		unsigned waits = 1u << (misses < 8 ? misses : 8);
		wait_for_pause();
		CHECK_EQ(rig_ring.polling.misses, misses < 8 ? misses : 8);
		CHECK_EQ(rig_ring.polling.waits_without, waits);
		wait_for_pause();
		CHECK_EQ(rig_ring.polling.waits_without, waits - 1);
		rig_ring.polling.waits_without = 0;
	}
}

/* Polling finds an event without a sleep, and the next wait polls again. */
static void test_paying(void)
{
	prepare_event();
	CHECK_EQ(ring_wait_for(&rig_ring, 1), 0);
	rig_ring.polling = (struct ring_polling){ .misses = 8 };
	n_events = 0;
	ring_event();
	long before = sleeps();
	CHECK_EQ(ring_wait(&rig_ring), 0);
	CHECK_EQ(n_events, 1);
	CHECK_EQ(sleeps(), before);
	CHECK_EQ(rig_ring.polling.misses, 0);
	CHECK_EQ(rig_ring.polling.waits_without, 0);
}

/* An operation that is done when it is submitted is neither. */
static void test_done_at_once(void)
{
	rig_ring.polling = (struct ring_polling){ .misses = 3 };
	n_events = 0;
	ring_event();
	prepare_event();
	CHECK_EQ(ring_wait(&rig_ring), 0);
	CHECK_EQ(n_events, 1);
	CHECK_EQ(rig_ring.polling.misses, 3);
}

static void test_workers_go_first(void)
{
	rig_ring.polling = (struct ring_polling){ 0 };
	rig_ring.with_workers = 1;
	wait_for_pause();
	CHECK_EQ(rig_ring.polling.misses, 0);
	rig_ring.with_workers = 0;
	wait_for_pause();
	CHECK_EQ(rig_ring.polling.misses, 1);
}

int main(void)
{
	ring_open(&rig_ring, 128);
	event_fd = eventfd(0, EFD_CLOEXEC);
	CHECK(event_fd >= 0);
	ring_start(&rig_ring);
	RUN(test_none_at_first);
	RUN(test_misses);
	RUN(test_paying);
	RUN(test_done_at_once);
	RUN(test_workers_go_first);
	ring_close(&rig_ring);
	return 0;
}
