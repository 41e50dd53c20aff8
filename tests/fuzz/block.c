/* SPDX-License-Identifier: MIT */
/*
 * The input is what a driver does with a disk: requests of every kind, raw descriptors, kicks,
 * register writes, resets, reads into its own rings, and what the host does: a file that changes its size, results of
 * every kind, an overlay, and the end of the run, against the device, the transport and the ring as they are (bug classes 5, 8, 15,
 * 16, 17, 22, 24, 25). After each input every request is back, nothing behind the disk's end has changed, nor anything of
 * an overlay's base, and a good driver is served again.
 *
 * No input reaches what is decided before the first one (what kind of file the image is, and how it begins), and chains
 * that become available while the device asks for kicks again: that takes a second thread, which tests/tsan/block.c has.
 */
#include <errno.h>
#include <stdatomic.h>

#include "tests/fuzz/block_seeds.h"
#include "tests/fuzz/model/begin.h"
#include "tests/fuzz/model/host.h"

#include "tests/fuzz/race.h"

#include "tests/unit/overlay_rig.h"

#include "tests/fuzz/block_driver.h"

#define DISK_SECTORS   64u
#define TAIL_BYTES     8192u /* of the file, behind the disk */
#define FILE_BYTES     (DISK_SECTORS * SECTOR_BYTES + TAIL_BYTES)
#define OPERATIONS_MAX 120
#define TAIL           0x5e

static int file_fd;
static bool truncated; /* by this input */
static uint8_t tail[TAIL_BYTES], base[DISK_SECTORS * SECTOR_BYTES];
static ring_done_fn *real_done;
static uint8_t result_kind, results_left;

static int32_t result_of(uint8_t kind, int32_t result)
{
	static const int32_t errors[RESULT_KINDS - RESULT_ERRORS] = {
		-EINTR,  -EIO,    -EOPNOTSUPP, -EINVAL, -ECANCELED,
		-EAGAIN, -ENOSPC, -EFBIG,      -EBADF,  -ENOMEM,
	};

	if (kind == RESULT_SHORT)
		return result > 1 ? result / 2 : result;
	return kind == RESULT_NOTHING ? 0 : errors[kind - RESULT_ERRORS];
}

static void operation_done(struct ring_op *op, int32_t result)
{
	if (results_left > 0) {
		results_left--;
		result = result_of(result_kind, result);
	}
	real_done(op, result);
}

/* Comes between the ring and the disk, for requests that have been used for the first time. */
static void come_between(void)
{
	for (unsigned i = 0; i < rig.block.free_requests.fresh; i++) {
		struct ring_op *op = &rig.block.requests[i].op;
		if (op->done != operation_done)
			real_done = op->done;
		op->done = operation_done;
	}
}

static void run_ring(void)
{
	CHECK_EQ(ring_wait_for(&rig_ring, 0), 0);
	come_between();
}

static void open_overlay(struct block_image *image)
{
	struct file_name name = { "fd=N", check_memory_file("", 0) };
	struct error_text error;

	CHECK(overlay_file_open(&rig_overlay, image, &name, NULL, &error));
	image->overlay = NULL;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct block_image image = { .path = "(fuzz)", .sectors = DISK_SECTORS, .id = "fuzz" };

	(void)argc, (void)argv;
	memset(tail, TAIL, sizeof(tail));
	image.fd = file_fd = check_memory_file("", 0);
	CHECK(pwrite(file_fd, tail, sizeof(tail), DISK_SECTORS * SECTOR_BYTES) == sizeof(tail));
	image.fd = fcntl(file_fd, F_DUPFD_CLOEXEC, 0);
	open_overlay(&image);
	rig_open(&image);
	guest_memory_unmap(&rig.memory);
	fuzz_map_memory(&rig.memory, RIG_MEM_BYTES);
	host_own_memory(&rig.memory);
	host_own_file(file_fd, rig.image.fd, 256 * SECTOR_BYTES);
	host_own_file(rig_overlay.file.fd, -1, rig_overlay.data_start + sizeof(base));
	rig.block.store.error_reported = true; /* one line would say nothing here */
	rig.image.is_regular = true;
	rig.image.head_unseen = true;
	block_start(&rig.block);
	rig.image.head_unseen = false;
	block_start(&rig.block);
	block_seeds_write();
	return 0;
}

/* Until the next try, or until the host has refused for too long. */
static void pass_time(uint8_t long_time)
{
	if (long_time & 1 && rig.block.lanes.refusal.since_ms != 0)
		rig.block.lanes.refusal.since_ms = 1;
	if (rig.block.lanes.retry_pending && !host_pass_time())
		rig.block.lanes.retry_op.done(&rig.block.lanes.retry_op, -ETIME);
}

static void reset_and_wait(void)
{
	rig.block.device.reset_wait_ms = 1;
	driver_write(&rig.transport, VIRTIO_MMIO_STATUS, 0);
	rig.block.device.reset_wait_ms = 0;
}

static void read_base(uint8_t *bytes)
{
	CHECK(pread(file_fd, bytes, sizeof(base), 0) == sizeof(base));
}

/* Before the input's first request. */
static void choose_overlay(bool has_overlay, bool is_kept)
{
	uint64_t map_bytes = (uint64_t)(rig_overlay.copies - (uint8_t *)rig_overlay.present);

	rig.image.overlay = has_overlay ? &rig_overlay : NULL;
	if (!has_overlay)
		return;
	rig_overlay.is_kept = is_kept;
	memset(rig_overlay.present, 0, map_bytes);
	memset(rig_overlay.page_flags, 0, rig_overlay.n_pages);
	CHECK(ftruncate(rig_overlay.file.fd, OVERLAY_HEADER_BYTES) == 0);
	CHECK(ftruncate(rig_overlay.file.fd, (off_t)rig_overlay.data_start + sizeof(base)) == 0);
	for (unsigned i = 0; i < VIRTQUEUE_MAX_SIZE; i++)
		rig.block.requests[i].copy = rig_overlay.copies + i * OVERLAY_BLOCK_BYTES;
	read_base(base);
}

static void choose_image(uint8_t kind)
{
	rig.image.is_regular = kind & 1;
	rig.image.reads_need_worker = kind & 2;
	rig.image.read_only = kind & 4;
}

/* The run is over: what was taken is finished, what was written is flushed. Then it begins anew. */
static void end_run(void)
{
	race_end(); /* the vCPUs have stopped by then */
	virtio_device_stop_queues(&rig.block.device);
	while (block_is_busy(&rig.block)) {
		pass_time(results_left);
		run_ring();
	}
	CHECK_EQ(rig.block.lanes.worker_lane.n + rig.block.lanes.inline_lane.n, 0);
	block_start_final_flush(&rig.block);
	come_between();
	while (block_is_busy(&rig.block)) {
		pass_time(results_left);
		run_ring();
	}
	memset(rig.block.requests, 0,
	       rig.block.free_requests.fresh * sizeof(rig.block.requests[0]));
	pool_init(&rig.block.free_requests, rig.block.requests, sizeof(rig.block.requests[0]),
		  VIRTQUEUE_MAX_SIZE);
	rig.block.store.error_reported = true;
	driver_write(&rig.transport, VIRTIO_MMIO_STATUS, 0);
}

static const struct race_place places[] = {
	{ DRIVER_DESC_GPA, 256 },      { DRIVER_AVAIL_GPA, 64 },    { DRIVER_AVAIL_GPA, 8 },
	{ DRIVER_USED_GPA, 64 },       { RIG_HEADER_GPA, 128 },     { RIG_STATUS_GPA, 16 },
	{ DRIVER_INDIRECT_GPA, 4096 }, { DRIVER_INDIRECT_GPA, 64 }, { DATA_GPA, 64 },
};

/* What the other vCPU does beside writing memory. */
static void other_vcpu(struct fuzz_input *input)
{
	uint8_t what = fuzz_byte(input);

	if (what < 0x80)
		rig_kick();
	else
		driver_use_registers(&rig.transport, what, input);
}

#include "tests/fuzz/model/end.h"

static void do_operation(struct fuzz_input *input)
{
	uint8_t operation = fuzz_byte(input) % OPERATIONS;
	bool has_queue = rig.queue.desc != NULL;

	if (operation == OP_START)
		start(input);
	else if (operation == OP_RESET)
		driver_write(&rig.transport, VIRTIO_MMIO_STATUS, 0);
	else if (operation == OP_KICK)
		rig_kick();
	else if (operation == OP_RUN)
		run_ring();
	else if (operation == OP_TIME)
		pass_time(fuzz_byte(input));
	else if (operation == OP_RESET_WAIT)
		reset_and_wait();
	else if (operation == OP_IMAGE)
		choose_image(fuzz_byte(input));
	else if (operation == OP_POLICY)
		host_set_policy(fuzz_byte(input));
	else if (operation == OP_END)
		end_run();
	else if (operation == OP_TRUNCATE) {
		CHECK(ftruncate(file_fd, fuzz_byte(input) * 512) == 0);
		truncated = true;
	} else if (operation == OP_RESULTS) {
		result_kind = fuzz_byte(input) % RESULT_KINDS;
		results_left = fuzz_byte(input) & 15;
	} else if (operation == OP_REGISTER) {
		uint8_t offset = fuzz_byte(input);
		driver_write(&rig.transport, (offset & 63) * 4u, (uint32_t)fuzz_number(input));
	} else if (!has_queue)
		return;
	else if (operation == OP_REQUEST || operation == OP_REQUEST_INDIRECT)
		request(input, operation == OP_REQUEST_INDIRECT);
	else if (operation == OP_REQUEST_PARTS)
		request_parts(input);
	else if (operation == OP_DESCRIPTOR)
		descriptor(input);
	else if (operation == OP_OFFER) {
		uint8_t head = fuzz_byte(input) & 0x7f;
		for (unsigned n = 1 + (fuzz_byte(input) & 0x7f); n > 0; n--)
			driver_offer(&rig.queue, head);
	} else
		rig.queue.avail->idx = (uint16_t)(rig.queue.avail->idx + fuzz_byte(input));
}

#include "tests/fuzz/model/begin.h"

/* Behind the disk's end nothing changes, unless the file was cut: then there may be holes. */
static void check_tail(void)
{
	uint8_t now[TAIL_BYTES];
	ssize_t n = pread(file_fd, now, sizeof(now), DISK_SECTORS * SECTOR_BYTES);

	CHECK(truncated || n == TAIL_BYTES);
	CHECK(truncated || lseek(file_fd, 0, SEEK_END) == FILE_BYTES);
	if (n == TAIL_BYTES && memcmp(now, tail, sizeof(now)) == 0)
		return;
	/* As far as it was cut off there are zeroes. */
	CHECK(truncated);
	ssize_t whole = 0;
	while (whole < n && now[whole] == TAIL)
		whole++;
	CHECK_FILLED(now + whole, 0, (size_t)(n - whole));
}

static void check_base(void)
{
	uint8_t now[sizeof(base)];

	if (rig.image.overlay == NULL || truncated)
		return;
	read_base(now);
	CHECK_BYTES(now, base, sizeof(base));
}

/* A queue address of the input's choice may have led used entries and status bytes anywhere in RAM;
 * a reset and zeroed memory make a driver's good start. */
static void check_good_driver_is_served(void)
{
	driver_write(&rig.transport, VIRTIO_MMIO_STATUS, 0);
	RIG_RUN_UNTIL(!block_is_busy(&rig.block) && !rig.block.lanes.retry_pending);
	CHECK_EQ(rig.block.lanes.worker_lane.n + rig.block.lanes.inline_lane.n, 0);
	results_left = 0;
	CHECK_EQ(driver_read(&rig.transport, VIRTIO_MMIO_STATUS), 0);
	check_tail();
	check_base();
	CHECK(ftruncate(file_fd, FILE_BYTES) == 0);
	host_clear_memory(&rig.memory);
	rig_start_driver(16);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, 5, DATA_GPA, 1024), VIRTIO_BLK_S_OK);
	CHECK_EQ(rig.used_bytes, 1025);
	CHECK_EQ(rig.block.device.in_flight, 0);
	CHECK(rig.block.free_requests.fresh <= VIRTQUEUE_MAX_SIZE);
	driver_write(&rig.transport, VIRTIO_MMIO_STATUS, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_input input = { data, bytes };

	rig.queue.desc = NULL;
	rig.block.store.zero_method = ZERO_BY_RANGE;
	rig.block.store.error_reported = true;
	rig.block.lanes.refusal.since_ms = 0;
	rig.block.store.flush_failed = false;
	rig.block.store.writes = rig.block.store.flushed_writes = 0;
	atomic_store(&rig_exit.status, EXIT_REQUEST_NONE);
	results_left = 0;
	host_set_policy(0);
	truncated = false;
	CHECK(ftruncate(file_fd, FILE_BYTES) == 0);
	CHECK(pwrite(file_fd, tail, sizeof(tail), DISK_SECTORS * SECTOR_BYTES) == sizeof(tail));
	choose_image(1);
	if (bytes > 1 && data[0] == OP_IMAGE)
		choose_overlay(data[1] & 8, data[1] & 16);
	else
		choose_overlay(false, false);
	race_begin(&rig.memory, places, sizeof(places) / sizeof(places[0]), other_vcpu, data,
		   bytes);
	for (unsigned i = 0; i < OPERATIONS_MAX && input.left > 0; i++)
		do_operation(&input);
	race_end();
	check_good_driver_is_served();
	host_clear_memory(&rig.memory);
	return 0;
}

#include "tests/fuzz/model/end.h"
