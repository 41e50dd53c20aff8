/* SPDX-License-Identifier: MIT */
/* A disk comes to rest, is saved, and goes on in another process: which files it takes for the snapshot's. */
#include "virtio-mmio/block_state.h"

#include <sys/stat.h>
#include <time.h>

#include "tests/unit/check.h"
#include "tests/unit/overlay_rig.h"
#include "virtio-mmio/transport_state.h"

#define SECTORS  2053u
#define DATA_GPA (uint64_t)(1u << 20)

static struct virtio_transport_state transport_saved;
static struct block_state saved;
static struct error_text error;

static void write_sector(uint64_t sector, uint8_t value)
{
	memset(rig_at(DATA_GPA), value, SECTOR_BYTES);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, sector, DATA_GPA, SECTOR_BYTES), VIRTIO_BLK_S_OK);
}

static uint8_t read_sector(uint64_t sector)
{
	CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, sector, DATA_GPA, SECTOR_BYTES), VIRTIO_BLK_S_OK);
	return *rig_at(DATA_GPA);
}

static void rest(void)
{
	virtio_device_stop_queues(&rig.block.device);
	RIG_RUN_UNTIL(block_come_to_rest(&rig.block));
	CHECK_EQ(rig.block.device.in_flight, 0);
}

static bool save(void)
{
	rest();
	if (!block_can_be_saved(&rig.block, &error))
		return false;
	virtio_transport_save(&rig.transport, &transport_saved);
	block_save(&rig.block, &saved);
	return true;
}

/* The new process's disk has a driver that knows its queue; guest memory was the old one's, too. */
static bool restore(void)
{
	return block_restore(&rig.block, &saved, &error);
}

static int make_file(void)
{
	char path[] = "/tmp/block_state-XXXXXX";
	int fd = mkstemp(path);

	CHECK(fd >= 0 && unlink(path) == 0);
	return fd;
}

/* Requests of a queue that is stopped wait, also for those that come meanwhile; then they go on. */
static void test_rest_and_go_on(void)
{
	static const struct rig_request request = { VIRTIO_BLK_T_OUT, 3, DATA_GPA, SECTOR_BYTES };
	int base = rig_make_base(SECTORS * SECTOR_BYTES);

	rig_open_overlay(base, SECTORS, -1);
	rig_start_driver(16);
	write_sector(1, 0x11);
	rig_offer(0, &request, false);
	rig_kick();
	rest();
	rig_offer(3, &request, false);
	rig_kick();
	CHECK_EQ(ring_wait_for(&rig_ring, 10), 0);
	unsigned done = rig_used_count();
	CHECK(done <= 1);
	CHECK(block_come_to_rest(&rig.block));
	virtio_device_go_on(&rig.block.device);
	RIG_RUN_UNTIL(rig_used_count() == 2);
	rig_close_overlay();
	close(base);
}

/* Registers and queue too: the driver goes on where it was. */
static void test_next_process(void)
{
	int base = rig_make_base(SECTORS * SECTOR_BYTES), file = make_file();
	struct virtio_transport_state again;
	struct block_state block_again;
	struct guest_memory memory;
	struct driver_queue queue;

	rig_open_overlay(base, SECTORS, file);
	rig_start_driver(16);
	for (uint8_t i = 0; i < 40; i++)
		write_sector(i, i);
	CHECK(rig.block.store.writes != rig.block.store.flushed_writes);
	CHECK(save());
	CHECK_EQ(rig.block.store.writes, rig.block.store.flushed_writes);
	CHECK(saved.overlay_hash != 0);
	CHECK_STRING((const char *)saved.overlay_path, "fd=N");

	CHECK(guest_memory_map(&memory, RIG_MEM_BYTES));
	memcpy(memory.host, rig.memory.host, RIG_MEM_BYTES);
	queue = rig.queue;
	rig_close_overlay();
	rig_open_overlay(base, SECTORS, file);
	driver_queue_map(&rig.queue, &rig.memory, 16);
	rig.queue.next_used = queue.next_used;
	memcpy(rig.memory.host, memory.host, RIG_MEM_BYTES);
	guest_memory_unmap(&memory);
	CHECK(virtio_transport_restore(&rig.transport, &transport_saved, &error));
	CHECK(restore());
	virtio_transport_save(&rig.transport, &again);
	block_save(&rig.block, &block_again);
	CHECK_BYTES(&again, &transport_saved, sizeof(again));
	CHECK_BYTES(&block_again, &saved, sizeof(saved));
	for (uint8_t i = 0; i < 40; i++)
		CHECK_EQ(read_sector(i), i);
	write_sector(50, 0x50);
	CHECK_EQ(read_sector(50), 0x50);
	rig_close_overlay();
	close(base);
	close(file);
}

/* Of an overlay without a name nothing is left, unless nothing is in it. */
static void test_anonymous(void)
{
	int base = rig_make_base(SECTORS * SECTOR_BYTES);

	rig_open_overlay(base, SECTORS, -1);
	rig_start_driver(16);
	CHECK_EQ(read_sector(5), rig_base_byte(5 * SECTOR_BYTES));
	CHECK(save());
	CHECK(restore());
	virtio_device_go_on(&rig.block.device);
	write_sector(1, 1);
	CHECK(!save());
	CHECK_HAS(error.text, "overlay=FILE");
	rig_close_overlay();
	close(base);
}

static void touch(int fd)
{
	struct timespec times[2] = { { 1000, 0 }, { 1000, 0 } };

	CHECK(futimens(fd, times) == 0);
}

static void test_other_files(void)
{
	int base = rig_make_base(SECTORS * SECTOR_BYTES), file = make_file(), other = make_file();
	char copy[65536];
	ssize_t n;

	rig_open_overlay(base, SECTORS, file);
	rig_start_driver(16);
	write_sector(1, 1);
	CHECK(save());
	CHECK(restore());
	struct block_state good = saved;

	saved.sectors++;
	CHECK(!restore());
	CHECK_HAS(error.text, "1051136 bytes, the snapshot's has 1051648");
	saved = good;
	saved.read_only = 1;
	CHECK(!restore());
	CHECK_HAS(error.text, "it is writable, the snapshot's is read-only");
	saved = good;
	saved.overlay_hash++;
	CHECK(!restore());
	CHECK_HAS(error.text, "'fd=N', or a copy of it");
	memset(saved.overlay_path, 'x', sizeof(saved.overlay_path));
	CHECK(!restore());
	saved = good;
	touch(file);
	CHECK(!restore());
	CHECK_HAS(error.text, "written since the snapshot");
	rig_close_overlay();

	/* A copy is as good; a new one is not. */
	rig_open_overlay(base, SECTORS, other);
	CHECK(!restore());
	rig_close_overlay();
	CHECK(ftruncate(other, 0) == 0);
	for (off_t at = 0; (n = pread(file, copy, sizeof(copy), at)) > 0; at += n)
		CHECK(pwrite(other, copy, (size_t)n, at) == n);
	rig_open_overlay(base, SECTORS, other);
	CHECK(restore());
	touch(rig.image.fd);
	CHECK(!restore());
	rig_close_overlay();
	close(base);
	close(file);
	close(other);
}

/* A disk that is too slow for the snapshot: the guest goes on while the flush for it is under way. */
static void go_on_during_flush(int base, int file)
{
	rig_open_overlay(base, SECTORS, file);
	rig_start_driver(16);
	write_sector(1, 1);
	virtio_device_stop_queues(&rig.block.device);
	CHECK(!block_come_to_rest(&rig.block));
	CHECK_EQ(rig.block.device.in_flight, 1);
	virtio_device_go_on(&rig.block.device);
}

static void test_goes_on_during_flush(void)
{
	static const struct rig_request request = { .type = VIRTIO_BLK_T_FLUSH };
	int base = rig_make_base(SECTORS * SECTOR_BYTES), file = make_file();

	go_on_during_flush(base, file);
	rig_offer(0, &request, false);
	virtio_device_lock(&rig.block.device);
	rig.block.device.type->queue_notify(&rig.block.device, 0);
	virtio_device_unlock(&rig.block.device);
	CHECK(rig.block.lanes.worker_lane.first != NULL); /* it waits for that flush */
	RIG_RUN_UNTIL(rig_used_count() == 1);
	rig_close_overlay();

	CHECK(ftruncate(file, 0) == 0);
	go_on_during_flush(base, file);
	driver_write(&rig.transport, VIRTIO_MMIO_STATUS, 0);
	CHECK(driver_read(&rig.transport, VIRTIO_MMIO_STATUS) != 0);
	RIG_RUN_UNTIL(driver_read(&rig.transport, VIRTIO_MMIO_STATUS) == 0);
	rig_start_driver(16);
	write_sector(1, 2);
	rig_close_overlay();
	close(base);
	close(file);
}

static ring_done_fn *real_done;

/* The host has no worker for it. */
static void refused_once(struct ring_op *op, int32_t result)
{
	(void)result;
	op->done = real_done;
	real_done(op, -ECANCELED);
}

/* And the guest resets the disk while that flush waits for its next try: it is forgotten, its place is a guest's again. */
static void test_reset_forgets_waiting_flush(void)
{
	int base = rig_make_base(SECTORS * SECTOR_BYTES), file = make_file();

	go_on_during_flush(base, file);
	real_done = rig.block.requests[0].op.done;
	rig.block.requests[0].op.done = refused_once;
	RIG_RUN_UNTIL(rig.block.lanes.worker_lane.first != NULL);
	driver_write(&rig.transport, VIRTIO_MMIO_STATUS, 0);
	CHECK(!block_is_busy(&rig.block));
	rig_start_driver(16);
	write_sector(1, 2);
	CHECK_EQ(read_sector(1), 2);
	rig_close_overlay();
	close(base);
	close(file);
}

/* The flush fails: no snapshot, and the disk goes on. */
static void test_flush_fails(void)
{
	int base = rig_make_base(SECTORS * SECTOR_BYTES), file = make_file();

	rig_open_overlay(base, SECTORS, file);
	rig_start_driver(16);
	write_sector(1, 1);
	rig.block.store.flush_failed = true;
	CHECK(!save());
	CHECK_HAS(error.text, "cannot be flushed");
	virtio_device_go_on(&rig.block.device);
	CHECK_EQ(read_sector(1), 1);
	CHECK_EQ(read_sector(2), rig_base_byte(2 * SECTOR_BYTES));
	rig_close_overlay();
	close(base);
	close(file);
}

int main(void)
{
	RUN(test_rest_and_go_on);
	RUN(test_next_process);
	RUN(test_anonymous);
	RUN(test_other_files);
	RUN(test_goes_on_during_flush);
	RUN(test_reset_forgets_waiting_flush);
	RUN(test_flush_fails);
	return 0;
}
