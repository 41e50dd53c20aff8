/* SPDX-License-Identifier: MIT */
/* Images that fail, shrink, or give their bytes in pieces: an I/O error for the guest at the most,
 * and a device that goes on. */
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "tests/unit/check.h"
#include "tests/unit/disk_rig.h"

#define DATA_GPA (uint64_t)(1u << 20)
#define MIB      (1u << 20)

static void test_truncated_under_the_guest(void)
{
	int fd = rig_open_memory(64 * 512, false);

	CHECK(ftruncate(fd, 10 * 512 + 100) == 0);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, 20, DATA_GPA, 512), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, 10, DATA_GPA, 512), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, 0, DATA_GPA, 64 * 512), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, 9, DATA_GPA, 512), VIRTIO_BLK_S_OK);
	CHECK(!rig_needs_reset());
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 63, DATA_GPA, 512), VIRTIO_BLK_S_OK);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, 63, DATA_GPA, 512), VIRTIO_BLK_S_OK);
	rig_close();
}

static void test_file_size_limit(void)
{
	struct rlimit before, limit;
	int fd = rig_open_memory(64 * 512, false);

	CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR); /* as it is blocked in the monitor */
	CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
	limit = before;
	limit.rlim_cur = 10 * 512;
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	memset(rig_at(DATA_GPA), 0x77, 512);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 10, DATA_GPA, 512), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 9, DATA_GPA, 512), VIRTIO_BLK_S_OK);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 9, DATA_GPA, 1024), VIRTIO_BLK_S_IOERR);
	CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 10, DATA_GPA, 512), VIRTIO_BLK_S_OK);
	(void)fd;
	rig_close();
}

/* A disk that is full for ever. */
static void test_disk_full(void)
{
	rig_open_fd(open("/dev/full", O_RDWR | O_CLOEXEC), 64, false);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 0, DATA_GPA, 512), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(rig.used_bytes, 1);
	memset(rig_at(DATA_GPA), 1, 512);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, 0, DATA_GPA, 512), VIRTIO_BLK_S_OK);
	CHECK_FILLED(rig_at(DATA_GPA), 0, 512);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 0, DATA_GPA, 512), VIRTIO_BLK_S_IOERR);
	CHECK(!rig_needs_reset());
	rig_close();
}

/* A descriptor that cannot be written although the disk is not read-only: EBADF. */
static void test_other_errors(void)
{
	int fd = check_memory_file("", 0);
	char path[64];

	CHECK(ftruncate(fd, 64 * 512) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rig_open_fd(open(path, O_RDONLY | O_CLOEXEC), 64, false);
	close(fd);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 0, DATA_GPA, 512), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(rig_do_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(rig_do_range(VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, 0, DATA_GPA, 512), VIRTIO_BLK_S_OK);
	rig_close();
}

/* A flush that fails must not be acknowledged: a socket knows no fdatasync. */
static void test_flush_that_fails(void)
{
	int ends[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	rig_open_fd(ends[0], 64, false);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_IOERR);
	rig_close();
	close(ends[1]);
}

static ring_done_fn *real_done;
static int32_t sync_result;

static void synced(struct ring_op *op, int32_t result)
{
	const struct block_request *request =
		(void *)((char *)op - offsetof(struct block_request, op));

	real_done(op, request->step == BLOCK_SYNC && sync_result != 0 ? sync_result : result);
}

/* The host forgets an fdatasync that failed, and maybe what it was for: the next one succeeds. A later flush is for those
 * writes, too (virtio 1.2, 5.2.6.2), and fails, also that of the end. The disk can be used. */
static void test_flush_after_one_that_failed(void)
{
	rig_open_memory(64 * 512, false);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 0, DATA_GPA, 512), VIRTIO_BLK_S_OK);
	real_done = rig.block.requests[0].op.done;
	rig.block.requests[0].op.done = synced;
	sync_result = -EIO;
	CHECK_EQ(rig_do(VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_IOERR);
	sync_result = 0;
	CHECK_EQ(rig_do(VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 0, DATA_GPA, 512), VIRTIO_BLK_S_OK);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, 0, DATA_GPA, 512), VIRTIO_BLK_S_OK);
	rig.block.requests[0].op.done = real_done;
	block_start_final_flush(&rig.block);
	RIG_RUN_UNTIL(!block_is_busy(&rig.block));
	CHECK(rig.block.final_flush_failed);
	rig_close();
}

/* virtio 1.2, 5.2.5: with a driver that knows no flush, zeroes are on the disk when they are
 * acknowledged; one that does flush asks for that itself. A pipe takes them and cannot sync. */
static void test_zeroes_without_flush(void)
{
	for (int flushes = 0; flushes < 2; flushes++) {
		int ends[2];
		CHECK(pipe2(ends, O_CLOEXEC) == 0);
		rig_open_fd(ends[1], 64, false);
		driver_write(&rig.transport, VIRTIO_MMIO_STATUS, 0);
		driver_queue_map(&rig.queue, &rig.memory, 8);
		driver_start(&rig.transport, flushes ? FEATURE(VIRTIO_BLK_F_FLUSH) : 0, 8);
		rig.block.store.zero_method = ZERO_BY_WRITE;
		CHECK_EQ(rig_do_range(VIRTIO_BLK_T_WRITE_ZEROES, 1, 8, 0),
			 flushes ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR);
		rig_close();
		close(ends[0]);
	}
}

/* Class 10: a stream gives and takes what it likes; the request's bytes stay in order, each once. */
static void test_class_10_partial_io_reads(void)
{
	static const uint32_t pieces[] = { 1, 511, 3000, 70, 4096, 50000 };
	static uint8_t sent[MIB + 4096];
	uint64_t state = 11;
	int ends[2];

	CHECK(pipe2(ends, O_CLOEXEC) == 0 && fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
	rig_open_fd(ends[0], 1 << 20, false);
	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)check_random(&state);
	rig_offer(0, &(struct rig_request){ VIRTIO_BLK_T_IN, 1, DATA_GPA, sizeof(sent) }, false);
	rig_kick();
	rig_idle();
	size_t done = 0;
	for (unsigned i = 0; done < sizeof(sent); i++) {
		CHECK_EQ(rig_used_count(), 0);
		size_t n =
			pieces[i % 6] < sizeof(sent) - done ? pieces[i % 6] : sizeof(sent) - done;
		ssize_t written = write(ends[1], sent + done, n);
		done += written > 0 ? (size_t)written : 0;
		CHECK_EQ(ring_wait_for(&rig_ring, 1), 0);
	}
	RIG_RUN_UNTIL(rig_used_count() == 1);
	struct vring_used_elem used = rig_take_used();
	CHECK_EQ(used.len, sizeof(sent) + 1);
	CHECK_EQ(*rig_status_of(0), VIRTIO_BLK_S_OK);
	CHECK_BYTES(rig_at(DATA_GPA), sent, sizeof(sent));
	rig_close();
	close(ends[1]);
}

/* The same the other way, into a pipe that takes little at a time. */
static void test_class_10_partial_io_writes(void)
{
	static uint8_t got[MIB + 4096];
	uint64_t state = 12;
	int ends[2];

	CHECK(pipe2(ends, O_CLOEXEC) == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
	rig_open_fd(ends[1], 1 << 20, false);
	for (size_t i = 0; i < sizeof(got); i++)
		*rig_at(DATA_GPA + i) = (uint8_t)check_random(&state);
	rig_offer(0, &(struct rig_request){ VIRTIO_BLK_T_OUT, 1, DATA_GPA, sizeof(got) }, false);
	rig_kick();
	size_t done = 0;
	while (done < sizeof(got)) {
		CHECK_EQ(ring_wait_for(&rig_ring, 1), 0);
		ssize_t n = read(ends[0], got + done, sizeof(got) - done);
		done += n > 0 ? (size_t)n : 0;
		CHECK(n > 0 || rig_used_count() == 0);
	}
	RIG_RUN_UNTIL(rig_used_count() == 1);
	CHECK_EQ(*rig_status_of(0), VIRTIO_BLK_S_OK);
	CHECK_BYTES(got, rig_at(DATA_GPA), sizeof(got));
	CHECK(read(ends[0], got, 1) < 0);
	rig_close();
	close(ends[0]);
}

/* At the end of a run: only what was written and not flushed needs the disk once more. */
static void test_final_flush(void)
{
	rig_open_memory(64 * 512, false);
	block_start_final_flush(&rig.block);
	CHECK(!block_is_busy(&rig.block));
	CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, 0, DATA_GPA, 512), VIRTIO_BLK_S_OK);
	block_start_final_flush(&rig.block);
	CHECK(!block_is_busy(&rig.block));
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 0, DATA_GPA, 512), VIRTIO_BLK_S_OK);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
	block_start_final_flush(&rig.block);
	CHECK(!block_is_busy(&rig.block));
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 0, DATA_GPA, 512), VIRTIO_BLK_S_OK);
	block_start_final_flush(&rig.block);
	CHECK(block_is_busy(&rig.block));
	RIG_RUN_UNTIL(!block_is_busy(&rig.block));
	rig_close();
}

int main(void)
{
	RUN(test_truncated_under_the_guest);
	RUN(test_file_size_limit);
	RUN(test_disk_full);
	RUN(test_other_errors);
	RUN(test_flush_that_fails);
	RUN(test_flush_after_one_that_failed);
	RUN(test_zeroes_without_flush);
	RUN(test_class_10_partial_io_reads);
	RUN(test_class_10_partial_io_writes);
	RUN(test_final_flush);
	return 0;
}
