/* SPDX-License-Identifier: MIT */
#include "host/ring.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/fail.h"
#include "host/release.h"

/* A longer batch goes in steps. */
#define RING_ENTRIES      128u
#define COMPLETIONS_MIN   128u
#define COMPLETIONS_MAX   2048u
#define BATCH_COMPLETIONS 64u
#define NEEDED_FEATURES   (IORING_FEAT_EXT_ARG | IORING_FEAT_NATIVE_WORKERS)
/* Standard input and output as files, a socket's shutdown; as terminals. */
#define OTHER_FILE_WORKERS 3u
#define OTHER_WORKERS      2u
#define SUBMIT_TRIES       1000
#define SUBMIT_PAUSE_MS    1
/* A limit: it takes no time. */
#define CANCEL_WAIT_NS 100000000
/* None while a guest boots: with one CPU polling finds nothing. */
#define WAITS_BEFORE_POLLS 128u
#define MISSES_MAX         8u /* 256 waits */

/* The operations that the devices use, those of sockets last; anything else is refused by the kernel. */
static const uint8_t allowed_operations[] = {
	IORING_OP_READ,         IORING_OP_WRITE,     IORING_OP_READV,    IORING_OP_WRITEV,
	IORING_OP_FSYNC,        IORING_OP_FALLOCATE, IORING_OP_POLL_ADD, IORING_OP_TIMEOUT,
	IORING_OP_ASYNC_CANCEL, IORING_OP_ACCEPT,    IORING_OP_SHUTDOWN, IORING_OP_RECV,
	IORING_OP_CONNECT,
};
#define OPERATIONS         (sizeof(allowed_operations) / sizeof(allowed_operations[0]))
#define CONNECT_OPERATIONS 1u
#define SOCKET_OPERATIONS  4u /* with that */

/* The usual cause of each error. */
static const char *refusal_hint(int error)
{
	switch (error) {
	case ENOMEM:
		return " (RLIMIT_MEMLOCK, which all VMs of this user share, or the host's memory)";
	case EPERM:
	case EACCES:
		return " (kernel.io_uring_disabled, seccomp or a security module forbids it)";
	case ENOSYS:
	case EINVAL:
		return " (Linux 5.12 or later is needed)";
	default:
		return "";
	}
}

static unsigned completion_entries(unsigned in_flight)
{
	unsigned entries = COMPLETIONS_MIN;

	while (entries < in_flight && entries < COMPLETIONS_MAX)
		entries *= 2;
	return entries;
}

/* Returns false with errno. */
static bool create_ring(struct io_uring *uring, unsigned in_flight)
{
	/* Since Linux 6.1 the completions can be left to the thread that waits for them: no
	 * interruption in the middle of a batch. Older kernels get the plain ring. */
	static const unsigned optional_flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		0,
	};
	int error = -EINVAL;

	for (size_t i = 0; error == -EINVAL && i < sizeof(optional_flags) / sizeof(unsigned); i++) {
		struct io_uring_params params = {
			.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | optional_flags[i],
			.cq_entries = completion_entries(in_flight),
		};
		error = io_uring_queue_init_params(RING_ENTRIES, uring, &params);
	}
	errno = -error;
	return error == 0;
}

void ring_open(struct ring *ring, unsigned in_flight)
{
	struct release_wait wait = { 0 };

	ring->n_forbidden = SOCKET_OPERATIONS;
	ring->n_workers = 0;
	ring->tasks = NULL;
	ring->polling = (struct ring_polling){ .waits_without = WAITS_BEFORE_POLLS };
	ring->with_workers = 0;
	/* A ring's memory stays charged until the kernel has taken the ring down, after its monitor has ended. */
	while (!create_ring(&ring->uring, in_flight))
		if (errno != ENOMEM || !release_wait(&wait))
			fail_errno(EXIT_HOST_REFUSED, "cannot create an io_uring%s",
				   refusal_hint(errno));
	/* Waiting with a time limit, and workers that are threads of this process. */
	if ((ring->uring.features & NEEDED_FEATURES) != NEEDED_FEATURES)
		fail(EXIT_HOST_REFUSED, "io_uring: Linux 5.12 or later is needed");
}

void ring_allow_workers(struct ring *ring, unsigned n)
{
	ring->n_workers += n;
}

void ring_allow_sockets(struct ring *ring, bool connects)
{
	ring->n_forbidden = connects ? 0 : CONNECT_OPERATIONS;
}

static void restrict_ring(struct ring *ring)
{
	struct io_uring_restriction restrictions[OPERATIONS + 2];
	unsigned n = OPERATIONS - ring->n_forbidden;

	memset(restrictions, 0, sizeof(restrictions));
	for (unsigned i = 0; i < n; i++) {
		restrictions[i].opcode = IORING_RESTRICTION_SQE_OP;
		restrictions[i].sqe_op = allowed_operations[i];
	}
	restrictions[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	restrictions[n++].sqe_flags = IOSQE_ASYNC;
	/* None: Linux from 7.0 on would allow all without a word about them, and the ring is enabled once. */
	restrictions[n].opcode = IORING_RESTRICTION_REGISTER_OP;
	restrictions[n++].register_op = IORING_REGISTER_ENABLE_RINGS;
	int error = io_uring_register_restrictions(&ring->uring, restrictions, n);
	if (error < 0) {
		errno = -error;
		fail_errno(EXIT_HOST_REFUSED, "io_uring: IORING_REGISTER_RESTRICTIONS");
	}
}

/* Linux 5.15 or later; older ones allow 4 for each CPU, and for what is neither file nor disk (a terminal) any number. */
static void limit_workers(struct ring *ring)
{
	unsigned limits[2] = { ring->n_workers + OTHER_FILE_WORKERS, OTHER_WORKERS };

	if (ring->n_workers > 0)
		io_uring_register_iowq_max_workers(&ring->uring, limits);
}

void ring_start(struct ring *ring)
{
	limit_workers(ring);
	restrict_ring(ring);
	int error = io_uring_enable_rings(&ring->uring);
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
			clock_pause_ms(SUBMIT_PAUSE_MS); /* memory is short for the moment */
		sqe = io_uring_get_sqe(&ring->uring);
	}
	return sqe;
}

void ring_commit(struct io_uring_sqe *sqe, struct ring_op *op)
{
	io_uring_sqe_set_data(sqe, op);
}

static void ignore(struct ring_op *op, int32_t result)
{
	(void)op, (void)result;
}

void ring_cancel(struct ring *ring, struct ring_op *op)
{
	static struct ring_op request = { .done = ignore };
	struct io_uring_sqe *sqe = ring_prepare(ring);

	io_uring_prep_cancel64(sqe, (uintptr_t)op, 0);
	ring_commit(sqe, &request);
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

/* There is room for others before the callbacks run: where there is none Linux before 5.19 lets them submit nothing. */
static void dispatch(struct ring *ring)
{
	struct io_uring_cqe *completions[BATCH_COMPLETIONS];
	unsigned n = io_uring_peek_batch_cqe(&ring->uring, completions, BATCH_COMPLETIONS);
	struct {
		struct ring_op *op;
		int32_t result;
	} done[BATCH_COMPLETIONS];

	for (unsigned i = 0; i < n; i++) {
		done[i].op = io_uring_cqe_get_data(completions[i]);
		done[i].result = completions[i]->res;
	}
	io_uring_cq_advance(&ring->uring, n);
	for (unsigned i = 0; i < n; i++)
		done[i].op->done(done[i].op, done[i].result);
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

/* Polls for RING_POLL_NS at most; true: there are events. */
static bool poll_events(struct ring *ring)
{
	struct ring_polling *polling = &ring->polling;
	int64_t end = clock_ns(CLOCK_MONOTONIC) + RING_POLL_NS;
	bool found;

	while (!(found = has_events(ring)) && clock_ns(CLOCK_MONOTONIC) < end)
		__builtin_ia32_pause();
	if (found)
		polling->misses = 0;
	else if (polling->misses < MISSES_MAX)
		polling->misses++;
	polling->waits_without = found ? 0 : 1u << polling->misses;
	return found;
}

int ring_wait(struct ring *ring)
{
	if (ring->polling.waits_without > 0) {
		ring->polling.waits_without--;
	} else {
		/* Much is done by submitting it. */
		int result =
			io_uring_sq_ready(&ring->uring) > 0 ? io_uring_submit(&ring->uring) : 0;
		if (result < 0 || io_uring_cq_ready(&ring->uring) > 0)
			return finish_wait(ring, result);
		if (ring->with_workers == 0 && poll_events(ring))
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

/* An operation holds its file. On a closed ring the kernel would cancel it later, in a worker that first waits for
 * an RCU grace period: a pipe's reader, a TAP's next user and umount would wait for that after the process has
 * ended. Before Linux 5.19 there is no such operation, and it is later. */
static void cancel_all(struct ring *ring)
{
	struct __kernel_timespec limit = { .tv_nsec = CANCEL_WAIT_NS };
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	bool is_done = false;

	while ((sqe = io_uring_get_sqe(&ring->uring)) == NULL)
		if (io_uring_submit(&ring->uring) <= 0)
			return;
	io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY);
	io_uring_sqe_set_data(sqe, &is_done);
	while (!is_done &&
	       io_uring_submit_and_wait_timeout(&ring->uring, &cqe, 1, &limit, NULL) >= 0)
		while (io_uring_peek_cqe(&ring->uring, &cqe) == 0) {
			is_done = is_done || io_uring_cqe_get_data(cqe) == &is_done;
			io_uring_cqe_seen(&ring->uring, cqe);
		}
}

void ring_close(struct ring *ring)
{
	cancel_all(ring);
	io_uring_get_events(&ring->uring);
	io_uring_queue_exit(&ring->uring);
}
