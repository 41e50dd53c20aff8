/* SPDX-License-Identifier: MIT */
/* Many requests at once, and resets while they are on their way (bug classes 15, 17). The image is
 * a pipe, so the test decides when a read completes. */
#include "tests/unit/check.h"
#include "tests/unit/disk_rig.h"

#define DATA_GPA (uint64_t)(1u << 20)
#define DEPTH    VIRTQUEUE_MAX_SIZE

static int feed_fd; /* what is written here is what the disk's reads get */

static void open_slow_disk(void)
{
	int ends[2];

	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	CHECK(fcntl(ends[1], F_SETPIPE_SZ, 1 << 20) >= 1 << 20);
	CHECK(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
	feed_fd = ends[1];
	rig_open_fd(ends[0], 1 << 20, false);
}

static void close_slow_disk(void)
{
	rig_close();
	close(feed_fd);
}

/* Lets `sectors` reads of one sector complete, with bytes of `value`. */
static void feed(unsigned sectors, uint8_t value)
{
	uint8_t sector[512];

	memset(sector, value, sizeof(sector));
	while (sectors-- > 0)
		CHECK(write(feed_fd, sector, sizeof(sector)) == sizeof(sector));
}

static uint64_t data_of(unsigned head)
{
	return DATA_GPA + head * 0x1000u;
}

/* Offers a read of one sector on each of heads 0 to n - 1. */
static void offer_reads(unsigned n)
{
	for (unsigned head = 0; head < n; head++)
		rig_offer((uint16_t)head,
			  &(struct rig_request){ VIRTIO_BLK_T_IN, head, data_of(head), 512 }, true);
	rig_kick();
	rig_idle();
}

/* Takes n used entries, each of another head, all good. */
static void check_answers(unsigned n, uint8_t value)
{
	bool seen[DEPTH] = { false };

	RIG_RUN_UNTIL(rig_used_count() == n);
	for (unsigned i = 0; i < n; i++) {
		struct vring_used_elem used = rig_take_used();
		CHECK(used.id < n && !seen[used.id]);
		seen[used.id] = true;
		CHECK_EQ(used.len, 513);
		CHECK_EQ(*rig_status_of((uint16_t)used.id), VIRTIO_BLK_S_OK);
		CHECK_FILLED(rig_at(data_of(used.id)), value, 512);
	}
	CHECK_EQ(rig.block.device.in_flight, 0);
}

/* How many of n reads are on their way at once; the others have not been begun. */
static unsigned begun(unsigned n)
{
	return n < BLOCK_MAX_INLINE ? n : BLOCK_MAX_INLINE;
}

static uint64_t interrupts(void)
{
	return rig_take_interrupts();
}

/* A full queue, again and again: the pool gives every request back. */
static void test_full_depth(void)
{
	open_slow_disk();
	for (uint8_t round = 1; round <= 10; round++) {
		offer_reads(DEPTH);
		CHECK_EQ(rig.block.device.in_flight, BLOCK_MAX_INLINE);
		CHECK_EQ(rig_used_count(), 0);
		interrupts();
		feed(DEPTH, round);
		check_answers(DEPTH, round);
		CHECK(interrupts() >= 1);
	}
	CHECK_EQ(rig.block.free_requests.fresh, DEPTH);
	close_slow_disk();
}

/* Many chains one after the other through few slots, on an ordinary file. */
static void test_more_chains_than_slots(void)
{
	rig_open_memory(256 * 512, false);
	for (unsigned i = 0; i < 3000; i++) {
		uint16_t head = (uint16_t)(i * 3 % 126);
		rig_offer(head, &(struct rig_request){ VIRTIO_BLK_T_IN, i % 256, DATA_GPA, 512 },
			  false);
		CHECK_EQ(rig_finish(head), VIRTIO_BLK_S_OK);
		CHECK_EQ(*rig_at(DATA_GPA), 1 + (i % 256 * 512 + i % 256 * 3) % 255);
	}
	CHECK(rig.block.free_requests.fresh <= 2);
	rig_close();
}

/* Class 15: a driver that offers the same heads again while they are on their way gets no more
 * slots than there are; the rest waits and is served, and memory in use is what it was. */
static void test_class_15_unbounded_requests_more_than_the_pool(void)
{
	open_slow_disk();
	offer_reads(DEPTH);
	for (unsigned head = 0; head < DEPTH; head++)
		driver_offer(&rig.queue, (uint16_t)head);
	rig_kick();
	rig_idle();
	CHECK_EQ(rig.block.device.in_flight, BLOCK_MAX_INLINE);
	CHECK(rig.block.starved);
	feed(DEPTH, 1);
	RIG_RUN_UNTIL(rig_used_count() == DEPTH);
	CHECK_EQ(rig.block.device.in_flight, BLOCK_MAX_INLINE);
	feed(DEPTH, 2);
	RIG_RUN_UNTIL(rig_used_count() == 2 * DEPTH);
	CHECK_EQ(rig.block.device.in_flight, 0);
	CHECK_EQ(rig.block.free_requests.fresh, DEPTH);
	CHECK(!rig_needs_reset());
	close_slow_disk();
}

/* Class 17: reset with `depth` reads on their way; the driver waits for the reset to complete, as
 * Linux does, and starts anew. Late completions touch no ring. */
static void reset_and_wait(unsigned depth, unsigned completed_before)
{
	open_slow_disk();
	offer_reads(depth);
	feed(completed_before, 1);
	RIG_RUN_UNTIL(rig_used_count() == completed_before);
	driver_write(&rig.transport, VIRTIO_MMIO_STATUS, 0);
	CHECK_EQ(driver_read(&rig.transport, VIRTIO_MMIO_STATUS),
		 depth > completed_before ? VIRTIO_CONFIG_S_NEEDS_RESET : 0);
	memset(rig.queue.used, 0xdd, 6 + 128 * 8);
	memset(rig_at(RIG_STATUS_GPA), 0xdd, DEPTH);
	interrupts();
	feed(begun(depth - completed_before), 2);
	RIG_RUN_UNTIL(driver_read(&rig.transport, VIRTIO_MMIO_STATUS) == 0);
	CHECK_EQ(rig.block.device.in_flight, 0);
	CHECK_FILLED(rig.queue.used, 0xdd, 6 + 128 * 8);
	CHECK_FILLED(rig_at(RIG_STATUS_GPA), 0xdd, DEPTH);
	CHECK_EQ(interrupts(), 0);
	rig_start_driver(128);
	offer_reads(DEPTH);
	feed(DEPTH, 3);
	check_answers(DEPTH, 3);
	close_slow_disk();
}

static void test_class_17_reset_in_flight_every_depth(void)
{
	for (unsigned depth = 1; depth <= DEPTH; depth = depth < 8 ? depth + 1 : depth * 2)
		for (unsigned before = 0; before <= depth; before += (depth + 3) / 4)
			reset_and_wait(depth, before);
}

/* The driver does not wait: it is up again, with requests, before the old ones are back. They are
 * served after that, each once, and the old ones are not answered. */
static void test_class_17_reset_in_flight_driver_in_a_hurry(void)
{
	for (unsigned depth = 1; depth <= DEPTH; depth *= 4) {
		open_slow_disk();
		offer_reads(depth);
		for (int again = 0; again < 3; again++) {
			driver_write(&rig.transport, VIRTIO_MMIO_STATUS, 0);
			rig_start_driver(128);
			offer_reads(5);
			CHECK(rig_needs_reset());
			CHECK_EQ(rig_used_count(), 0);
			CHECK_EQ(rig.block.device.in_flight, begun(depth));
		}
		feed(begun(depth), 1);
		RIG_RUN_UNTIL(!rig_needs_reset());
		rig_idle();
		CHECK_EQ(rig_used_count(), 0);
		CHECK_EQ(rig.block.device.in_flight, 5);
		feed(5, 2);
		check_answers(5, 2);
		close_slow_disk();
	}
}

/* A queue that breaks while requests are on their way: they come back without touching it. */
static void test_break_in_flight(void)
{
	open_slow_disk();
	offer_reads(20); /* leaves finished requests, which must not be served once more */
	feed(20, 1);
	check_answers(20, 1);
	rig_idle();
	driver_write(&rig.transport, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	offer_reads(9);
	rig.queue.avail->idx = (uint16_t)(rig.queue.avail->idx + 1000);
	rig_kick();
	RIG_RUN_UNTIL(rig_needs_reset());
	CHECK_EQ(driver_read(&rig.transport, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	feed(9, 1);
	RIG_RUN_UNTIL(rig.block.device.in_flight == 0);
	CHECK_EQ(rig_used_count(), 0);
	rig_kick(); /* and nothing more until the reset */
	rig_idle();
	CHECK_EQ(rig_used_count(), 0);
	driver_write(&rig.transport, VIRTIO_MMIO_STATUS, 0);
	rig_start_driver(128);
	offer_reads(9);
	feed(9, 2);
	check_answers(9, 2);
	close_slow_disk();
}

/* The peer of the image is gone: end of file for all that wait. */
static void test_hang_up_at_depth(void)
{
	open_slow_disk();
	offer_reads(DEPTH);
	close(feed_fd);
	RIG_RUN_UNTIL(rig_used_count() == DEPTH);
	for (uint16_t head = 0; head < DEPTH; head++)
		CHECK_EQ(*rig_status_of(head), VIRTIO_BLK_S_IOERR);
	rig_close();
}

int main(void)
{
	RUN(test_full_depth);
	RUN(test_more_chains_than_slots);
	RUN(test_class_15_unbounded_requests_more_than_the_pool);
	RUN(test_class_17_reset_in_flight_every_depth);
	RUN(test_class_17_reset_in_flight_driver_in_a_hurry);
	RUN(test_break_in_flight);
	RUN(test_hang_up_at_depth);
	return 0;
}
