/* SPDX-License-Identifier: MIT */
/* A disk's share of the kernel's workers, and a host that makes none. */
#include "tests/unit/check.h"
#include "tests/unit/disk_rig.h"

#define DATA_GPA (uint64_t)(1u << 20)
#define DEPTH    VIRTQUEUE_MAX_SIZE

static int feed_fd;
static ring_done_fn *real_done;
static int refusals; /* how many results are still to be taken for `refusal` */
static int32_t refusal;

/* A disk whose reads need a worker and wait for feed(). */
static void open_slow_disk(void)
{
	int ends[2];

	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	feed_fd = ends[1];
	rig_open_fd(ends[0], 1 << 20, false);
	rig.image.reads_need_worker = true;
}

static void close_slow_disk(void)
{
	rig_close();
	close(feed_fd);
}

static void feed(unsigned sectors)
{
	uint8_t sector[SECTOR_BYTES] = { 7 };

	while (sectors-- > 0)
		CHECK(write(feed_fd, sector, sizeof(sector)) == sizeof(sector));
}

static void offer_reads(unsigned n)
{
	for (unsigned head = 0; head < n; head++)
		rig_offer((uint16_t)head,
			  &(struct rig_request){ VIRTIO_BLK_T_IN, head, DATA_GPA + head * 0x1000u,
						 512 },
			  true);
	rig_kick();
	rig_idle();
}

static void test_class_24_slow_file_share(void)
{
	open_slow_disk();
	for (unsigned done = 0; done < 3 * DEPTH; done += DEPTH) {
		offer_reads(DEPTH);
		CHECK_EQ(rig.block.device.in_flight, BLOCK_MAX_WORKERS);
		CHECK(block_is_busy(&rig.block));
		for (unsigned n = 1; n <= DEPTH; n++) {
			feed(1);
			RIG_RUN_UNTIL(rig_used_count() == n);
			CHECK_EQ(rig.block.lanes.worker_lane.n,
				 n <= DEPTH - BLOCK_MAX_WORKERS ? BLOCK_MAX_WORKERS : DEPTH - n);
		}
		for (unsigned n = 0; n < DEPTH; n++)
			CHECK_EQ(*rig_status_of((uint16_t)rig_take_used().id), VIRTIO_BLK_S_OK);
		CHECK(!block_is_busy(&rig.block));
	}
	close_slow_disk();
}

/* Waiting requests were never begun: a reset is complete when the others are back, and forgets these. */
static void test_reset_forgets_those_that_wait(void)
{
	open_slow_disk();
	offer_reads(DEPTH);
	driver_write(&rig.transport, VIRTIO_MMIO_STATUS, 0);
	CHECK_EQ(rig.block.device.in_flight, BLOCK_MAX_WORKERS);
	feed(BLOCK_MAX_WORKERS);
	RIG_RUN_UNTIL(driver_read(&rig.transport, VIRTIO_MMIO_STATUS) == 0);
	CHECK(!block_is_busy(&rig.block));
	rig_start_driver(128);
	offer_reads(DEPTH);
	feed(DEPTH);
	RIG_RUN_UNTIL(rig_used_count() == DEPTH);
	CHECK_EQ(rig.block.free_requests.fresh, DEPTH);
	close_slow_disk();
}

static void test_break_forgets_those_that_wait(void)
{
	open_slow_disk();
	offer_reads(20);
	rig.queue.avail->idx = (uint16_t)(rig.queue.avail->idx + 1000);
	rig_kick();
	RIG_RUN_UNTIL(rig_needs_reset());
	feed(BLOCK_MAX_WORKERS);
	RIG_RUN_UNTIL(!block_is_busy(&rig.block));
	CHECK_EQ(rig_used_count(), 0);
	close_slow_disk();
}

/* Reads that are begun at once are bounded, too: the loop that begins them must never wait for their device. */
static void test_reads_that_need_no_worker(void)
{
	open_slow_disk();
	rig.image.reads_need_worker = false;
	for (unsigned done = 0; done < 3 * DEPTH; done += DEPTH) {
		offer_reads(DEPTH);
		CHECK_EQ(rig.block.lanes.worker_lane.n, 0);
		for (unsigned n = 0; n < DEPTH; n++) {
			CHECK_EQ(rig.block.device.in_flight,
				 n < DEPTH - BLOCK_MAX_INLINE ? BLOCK_MAX_INLINE : DEPTH - n);
			feed(1);
			RIG_RUN_UNTIL(rig_used_count() == n + 1);
		}
		for (unsigned n = 0; n < DEPTH; n++)
			CHECK_EQ(*rig_status_of((uint16_t)rig_take_used().id), VIRTIO_BLK_S_OK);
		CHECK(!block_is_busy(&rig.block));
		CHECK_EQ(rig.block.lanes.inline_lane.n, 0);
	}
	offer_reads(DEPTH);
	driver_write(&rig.transport, VIRTIO_MMIO_STATUS, 0);
	feed(BLOCK_MAX_INLINE);
	RIG_RUN_UNTIL(driver_read(&rig.transport, VIRTIO_MMIO_STATUS) == 0);
	CHECK(!block_is_busy(&rig.block));
	close_slow_disk();
}

/* They take several of the device's requests each. */
static void test_long_reads(void)
{
	enum {
		READS = 8,
		AT_ONCE = 4
	};

	open_slow_disk();
	rig.image.reads_need_worker = false;
	for (uint16_t head = 0; head < READS; head++)
		rig_offer(head, &(struct rig_request){ VIRTIO_BLK_T_IN, 0, DATA_GPA, 3 << 20 },
			  true);
	rig_kick();
	rig_idle();
	CHECK_EQ(rig.block.device.in_flight, AT_ONCE);
	close(feed_fd); /* the end of the file */
	RIG_RUN_UNTIL(rig_used_count() == READS);
	CHECK(!block_is_busy(&rig.block));
	CHECK_EQ(rig.block.lanes.inline_lane.n, 0);
	rig_close();
}

static void refuse(struct ring_op *op, int32_t result)
{
	real_done(op, refusals-- > 0 ? refusal : result);
}

/* The disk refuses `times` requests from now on. */
static void open_refused_disk(int32_t result, int times)
{
	rig_open_memory(64 * 512, false);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 0, DATA_GPA, 512), VIRTIO_BLK_S_OK);
	real_done = rig.block.requests[0].op.done;
	for (unsigned i = 0; i < rig.block.free_requests.fresh; i++)
		rig.block.requests[i].op.done = refuse;
	refusals = times;
	refusal = result;
}

static void test_refused_for_a_while(void)
{
	static const int32_t results[] = { -ECANCELED, -EAGAIN };

	for (size_t i = 0; i < 2; i++) {
		open_refused_disk(results[i], 3);
		memset(rig_at(DATA_GPA), 0x31, 512);
		CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 5, DATA_GPA, 512), VIRTIO_BLK_S_OK);
		CHECK(refusals < 0);
		CHECK_EQ(rig.block.lanes.refusal.since_ms, 0);
		CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, 5, DATA_GPA + 4096, 512), VIRTIO_BLK_S_OK);
		CHECK_EQ(*rig_at(DATA_GPA + 4096), 0x31);
		CHECK(!rig.block.store.error_reported);
		CHECK_EQ(exit_request_status(&rig_exit), EXIT_REQUEST_NONE);
		rig_close();
	}
}

static void test_refused_for_good(void)
{
	open_refused_disk(-ECANCELED, INT32_MAX);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 5, DATA_GPA, 512), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(exit_request_status(&rig_exit), EXIT_HOST_REFUSED);
	int tries = INT32_MAX - refusals;
	CHECK(tries > 2 && tries <= 25); /* with pauses */
	CHECK_EQ(rig_do(VIRTIO_BLK_T_FLUSH, 5, 0, 0), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(INT32_MAX - refusals, tries + 1); /* now at once */
	CHECK(!block_is_busy(&rig.block));
	rig_close();
}

/* EAGAIN may have another cause: it ends nothing. */
static void test_busy_for_good(void)
{
	open_refused_disk(-EAGAIN, INT32_MAX);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 5, DATA_GPA, 512), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(exit_request_status(&rig_exit), EXIT_REQUEST_NONE);
	rig_close();
}

static void test_reset_while_refused(void)
{
	open_refused_disk(-ECANCELED, 1);
	rig_offer(0, &(struct rig_request){ VIRTIO_BLK_T_OUT, 1, DATA_GPA, 512 }, false);
	rig_kick();
	RIG_RUN_UNTIL(rig.block.lanes.retry_pending);
	CHECK(block_is_busy(&rig.block));
	driver_write(&rig.transport, VIRTIO_MMIO_STATUS, 0);
	CHECK_EQ(driver_read(&rig.transport, VIRTIO_MMIO_STATUS), 0);
	CHECK(!block_is_busy(&rig.block));
	rig_start_driver(128);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 5, DATA_GPA, 512), VIRTIO_BLK_S_OK);
	RIG_RUN_UNTIL(!rig.block.lanes.retry_pending);
	CHECK_EQ(rig_used_count(), 0);
	rig_close();
}

/* A refusal has nothing to do with one of long ago, whatever has become of that. */
static void test_refused_once_and_again_later(void)
{
	open_refused_disk(-ECANCELED, 1);
	rig.image.is_regular = true;
	rig_offer(0, &(struct rig_request){ VIRTIO_BLK_T_OUT, 1, DATA_GPA, 512 }, false);
	rig_kick();
	RIG_RUN_UNTIL(rig.block.lanes.retry_pending);
	driver_write(&rig.transport, VIRTIO_MMIO_STATUS, 0);
	CHECK_EQ(rig.block.lanes.refusal.since_ms, 0);
	RIG_RUN_UNTIL(!rig.block.lanes.retry_pending);
	rig_start_driver(128);
	rig.block.lanes.refusal.since_ms = 1;
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 5, DATA_GPA, 512), VIRTIO_BLK_S_OK);
	CHECK_EQ(rig.block.lanes.refusal.since_ms, 0);
	rig.block.lanes.refusal.since_ms = 1;
	rig.block.lanes.refusal.last_ms = 2;
	refusals = 1;
	CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, 5, DATA_GPA, 512), VIRTIO_BLK_S_OK);
	CHECK_EQ(rig.block.lanes.refusal.since_ms, 0);
	CHECK_EQ(exit_request_status(&rig_exit), EXIT_REQUEST_NONE);
	rig_close();
}

/* Reads that the loop does itself go on where there are no workers, and do not keep a write waiting for ever. */
static void test_refused_beside_reads(void)
{
	open_refused_disk(-ECANCELED, INT32_MAX);
	rig_offer(0, &(struct rig_request){ VIRTIO_BLK_T_FLUSH, 0, 0, 0 }, false);
	rig_kick();
	RIG_RUN_UNTIL(rig.block.lanes.retry_pending);
	rig.block.requests[1].op.done = real_done; /* a read's */
	while (exit_request_status(&rig_exit) == EXIT_REQUEST_NONE) {
		rig_offer(3, &(struct rig_request){ VIRTIO_BLK_T_IN, 5, DATA_GPA, 512 }, false);
		rig_kick();
		RIG_RUN_UNTIL(rig_used_count() > 0);
		uint16_t head = (uint16_t)rig_take_used().id;
		CHECK_EQ(*rig_status_of(head), head == 3 ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR);
	}
	CHECK_EQ(exit_request_status(&rig_exit), EXIT_HOST_REFUSED);
	rig_close();
}

int main(void)
{
	RUN(test_class_24_slow_file_share);
	RUN(test_reset_forgets_those_that_wait);
	RUN(test_break_forgets_those_that_wait);
	RUN(test_reads_that_need_no_worker);
	RUN(test_long_reads);
	RUN(test_refused_for_a_while);
	RUN(test_refused_for_good);
	RUN(test_busy_for_good);
	RUN(test_reset_while_refused);
	RUN(test_refused_once_and_again_later);
	RUN(test_refused_beside_reads);
	return 0;
}
