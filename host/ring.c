#include "host/ring.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/fail.h"

/* A longer batch goes in two steps. */
#define RING_ENTRIES 256u
/* More than can be in flight (16 disks of 128 requests, and some), so that it never overflows. */
#define RING_COMPLETIONS  4096u
#define BATCH_COMPLETIONS 64u
#define NEEDED_FEATURES   (IORING_FEAT_EXT_ARG | IORING_FEAT_NATIVE_WORKERS)
#define SUBMIT_TRIES      1000
#define SUBMIT_PAUSE_US   1000u
/* A guest boots without any: with one CPU they are in vain. */
#define WAITS_BEFORE_LOOKS 128u
#define IN_VAIN_MAX        8u /* 256 waits */

/* The operations that the devices use; anything else is refused by the kernel. */
static const uint8_t allowed_operations[] = {
	IORING_OP_READ,    IORING_OP_WRITE,     IORING_OP_READV,    IORING_OP_WRITEV,
	IORING_OP_FSYNC,   IORING_OP_FALLOCATE, IORING_OP_POLL_ADD, IORING_OP_ACCEPT,
	IORING_OP_CONNECT, IORING_OP_SHUTDOWN,  IORING_OP_TIMEOUT,  IORING_OP_RECV,
};

void ring_init(struct ring *ring)
{
	/* Since Linux 6.1 the completions can be left to the thread that waits for them: no
	 * interruption in the middle of a batch. Older kernels get the plain ring. */
	static const unsigned optional_flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		0,
	};
	int error = -EINVAL;

	ring->n_files = 0;
	ring->sockets_allowed = false;
	ring->tasks = NULL;
	ring->looks = (struct ring_looks){ .waits_without = WAITS_BEFORE_LOOKS };
	ring->with_workers = 0;
	for (size_t i = 0; error == -EINVAL && i < sizeof(optional_flags) / sizeof(unsigned); i++) {
		struct io_uring_params params = {
			.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | optional_flags[i],
			.cq_entries = RING_COMPLETIONS,
		};
		error = io_uring_queue_init_params(RING_ENTRIES, &ring->uring, &params);
	}
	if (error < 0) {
		errno = -error;
		fail_errno(EXIT_HOST_REFUSED,
			   "cannot create an io_uring (Linux 5.12 or later, and allowed by "
			   "kernel.io_uring_disabled and seccomp)");
	}
	/* Waiting with a time limit, and workers that are threads of this process. */
	if ((ring->uring.features & NEEDED_FEATURES) != NEEDED_FEATURES)
		fail(EXIT_HOST_REFUSED, "io_uring: Linux 5.12 or later is needed");
}

int ring_add_file(struct ring *ring, int fd)
{
	if (ring->n_files == RING_MAX_FILES)
		fail(EXIT_MONITOR_FAILED, "more than %d files on the ring", RING_MAX_FILES);
	ring->files[ring->n_files] = fd;
	return (int)ring->n_files++;
}

void ring_allow_sockets(struct ring *ring)
{
	ring->sockets_allowed = true;
}

static void restrict_ring(struct ring *ring)
{
	enum {
		OPERATIONS = sizeof(allowed_operations)
	};
	struct io_uring_restriction restrictions[OPERATIONS + 2];

	memset(restrictions, 0, sizeof(restrictions));
	for (unsigned i = 0; i < OPERATIONS; i++) {
		restrictions[i].opcode = IORING_RESTRICTION_SQE_OP;
		restrictions[i].sqe_op = allowed_operations[i];
	}
	restrictions[OPERATIONS].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	restrictions[OPERATIONS].sqe_flags = IOSQE_FIXED_FILE | IOSQE_ASYNC;
	restrictions[OPERATIONS + 1].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
	if (!ring->sockets_allowed)
		restrictions[OPERATIONS + 1].sqe_flags = IOSQE_FIXED_FILE;
	int error = io_uring_register_restrictions(&ring->uring, restrictions, OPERATIONS + 2);
	if (error < 0) {
		errno = -error;
		fail_errno(EXIT_HOST_REFUSED, "io_uring: IORING_REGISTER_RESTRICTIONS");
	}
}

void ring_start(struct ring *ring)
{
	int error = io_uring_register_files(&ring->uring, ring->files, ring->n_files);

	if (error < 0) {
		errno = -error;
		fail_errno(EXIT_HOST_REFUSED, "io_uring: IORING_REGISTER_FILES");
	}
	restrict_ring(ring);
	error = io_uring_enable_rings(&ring->uring);
	if (error < 0) {
		errno = -error;
		fail_errno(EXIT_HOST_REFUSED, "io_uring: IORING_REGISTER_ENABLE_RINGS");
	}
}

struct io_uring_sqe *ring_prepare(struct ring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

	for (int tries = SUBMIT_TRIES; sqe == NULL; tries--) {
		int result = io_uring_submit(&ring->uring);
		if (result <= 0 && tries == 0) {
			errno = -result;
			fail_errno(EXIT_MONITOR_FAILED, "io_uring: cannot submit");
		}
		if (result <= 0)
			usleep(SUBMIT_PAUSE_US); /* memory is short for the moment */
		sqe = io_uring_get_sqe(&ring->uring);
	}
	return sqe;
}

void ring_commit(struct io_uring_sqe *sqe, struct ring_op *op)
{
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data(sqe, op);
}

void ring_commit_socket(struct io_uring_sqe *sqe, struct ring_op *op)
{
	io_uring_sqe_set_data(sqe, op);
}

void ring_after_batch(struct ring *ring, struct ring_task *task)
{
	if (task->queued)
		return;
	task->queued = true;
	task->next = ring->tasks;
	ring->tasks = task;
}

static void run_tasks(struct ring *ring)
{
	while (ring->tasks != NULL) {
		struct ring_task *task = ring->tasks;
		ring->tasks = task->next;
		task->queued = false;
		task->run(task);
	}
}

static void dispatch(struct ring *ring)
{
	struct io_uring_cqe *completions[BATCH_COMPLETIONS];
	unsigned n = io_uring_peek_batch_cqe(&ring->uring, completions, BATCH_COMPLETIONS);

	for (unsigned i = 0; i < n; i++) {
		struct ring_op *op = io_uring_cqe_get_data(completions[i]);
		op->done(op, completions[i]->res);
	}
	io_uring_cq_advance(&ring->uring, n);
	run_tasks(ring);
}

static int finish_wait(struct ring *ring, int result)
{
	/* EINTR: a stop and continue. ETIME: ring_wait_for. EBUSY, EAGAIN: completions must be
	 * taken first, or memory is short for a moment. */
	if (result < 0 && result != -EINTR && result != -ETIME && result != -EBUSY &&
	    result != -EAGAIN)
		return result;
	dispatch(ring);
	return 0;
}

/* Whether there are completions, or events that the kernel makes into some when it is asked. */
static bool has_events(struct ring *ring)
{
	return io_uring_cq_ready(&ring->uring) > 0 ||
	       (IO_URING_READ_ONCE(*ring->uring.sq.kflags) & IORING_SQ_TASKRUN) != 0;
}

/* Looks for RING_LOOK_NS at most; true: there are events. */
static bool look_for_events(struct ring *ring)
{
	struct ring_looks *looks = &ring->looks;
	int64_t end = clock_ns(CLOCK_MONOTONIC) + RING_LOOK_NS;
	bool found;

	while (!(found = has_events(ring)) && clock_ns(CLOCK_MONOTONIC) < end)
		__builtin_ia32_pause();
	if (found)
		looks->in_vain = 0;
	else if (looks->in_vain < IN_VAIN_MAX)
		looks->in_vain++;
	looks->waits_without = found ? 0 : 1u << looks->in_vain;
	return found;
}

int ring_wait(struct ring *ring)
{
	if (ring->looks.waits_without > 0) {
		ring->looks.waits_without--;
	} else {
		/* Much is done by submitting it. */
		int result =
			io_uring_sq_ready(&ring->uring) > 0 ? io_uring_submit(&ring->uring) : 0;
		if (result < 0 || io_uring_cq_ready(&ring->uring) > 0)
			return finish_wait(ring, result);
		if (ring->with_workers == 0 && look_for_events(ring))
			return finish_wait(ring, io_uring_get_events(&ring->uring));
	}
	return finish_wait(ring, io_uring_submit_and_wait(&ring->uring, 1));
}

int ring_wait_for(struct ring *ring, unsigned timeout_ms)
{
	struct __kernel_timespec timeout = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = (long long)(timeout_ms % 1000) * 1000000,
	};
	struct io_uring_cqe *first;

	return finish_wait(
		ring, io_uring_submit_and_wait_timeout(&ring->uring, &first, 1, &timeout, NULL));
}

void ring_close(struct ring *ring)
{
	io_uring_queue_exit(&ring->uring);
}
