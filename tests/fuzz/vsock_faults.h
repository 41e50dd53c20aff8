/* SPDX-License-Identifier: MIT */
/*
 * Faults of the host, for the fuzzer of vsock: an operation fails, is interrupted or does half of
 * its work; there are no descriptors; time passes. And pools so small that an input can exhaust them.
 */
#ifndef TESTS_FUZZ_VSOCK_FAULTS_H
#define TESTS_FUZZ_VSOCK_FAULTS_H

#include "tests/fuzz/model/host.h"

#include "tests/unit/net_queues.h"
#include "virtio-mmio/vsock/vsock.h"

/* The free places of the device's pools. */
#define FEW_CONNECTIONS 24u
#define FEW_PACKETS     6u

/* Whatever is waited for is so with short timers; in the model until the next timer. */
#undef RIG_RUN_UNTIL
#ifdef RACE
#define RIG_RUN_UNTIL(condition)                                                                   \
	do {                                                                                       \
		int64_t end = clock_now_ms() + RIG_WAIT_MS;                                        \
		while (!(condition)) {                                                             \
			CHECK(clock_now_ms() < end);                                               \
			hurry_timers();                                                            \
			CHECK_EQ(ring_wait_for(&rig_ring, 20), 0);                                 \
		}                                                                                  \
	} while (0)
#else
#define RIG_RUN_UNTIL(condition)                                                                   \
	for (unsigned waits = 0; !(condition); waits++) {                                          \
		CHECK(waits < 2000);                                                               \
		CHECK_EQ(ring_wait_for(&rig_ring, RIG_WAIT_MS), 0);                                \
	}
#endif

/* The operations that a fault may befall. */
enum fault_kind {
	FAULT_ACCEPT = 1,
	FAULT_READ = 2,
	FAULT_SEND = 4,
	FAULT_GREETING = 8,
	FAULT_POLL = 16,
	FAULT_CONNECT = 32,
	FAULT_SHUTDOWN = 64, /* and the reads behind it */
	FAULT_SOCKET = 128,  /* there is no new one */
};

static const int fault_errors[] = { EAGAIN,     EINTR,      EMFILE, ENOMEM, ECONNABORTED,
				    EOPNOTSUPP, ECONNRESET, EPIPE,  EINVAL, 0 /* half is done */ };

static struct vsock vsock;
static uint8_t faults; /* enum fault_kind; none if none is left */
static unsigned faults_left, fault_error;
static ring_done_fn *accepted_fn;

static inline bool socket_fails(void)
{
	if (faults_left == 0 || !(faults & FAULT_SOCKET))
		return false;
	faults_left--;
	return true;
}

#ifdef RACE
static unsigned ahead_s; /* of CLOCK_MONOTONIC, while the loop turns */

/* The device's clock, and its new sockets. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
	int result = (int)syscall(SYS_clock_gettime, clock, now);

	now->tv_sec += clock == CLOCK_MONOTONIC ? ahead_s : 0; /* the fuzzer has the other */
	return result;
}

int socket(int domain, int type, int protocol)
{
	if (socket_fails()) {
		errno = EMFILE;
		return -1;
	}
	return (int)syscall(SYS_socket, domain, type, protocol);
}

/* The timers that are about to be started: an input does not wait for seconds. */
static inline void hurry_timers(void)
{
	struct io_uring_sq *queue = &rig_ring.uring.sq;
	struct timespec soon;

	for (unsigned at = queue->sqe_head; at != queue->sqe_tail; at++) {
		struct io_uring_sqe *sqe = &queue->sqes[at & *queue->kring_mask];
		if (sqe->opcode != IORING_OP_TIMEOUT)
			continue;
		syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &soon);
		soon.tv_nsec += 100000;
		if (!(sqe->timeout_flags & IORING_TIMEOUT_ABS))
			soon = (struct timespec){ .tv_nsec = 100000 };
		*(struct __kernel_timespec *)(uintptr_t)sqe->addr = (struct __kernel_timespec){
			.tv_sec = soon.tv_sec,
			.tv_nsec = soon.tv_nsec,
		};
	}
}
#else
static inline void hurry_timers(void)
{
}
#endif

/* For the next turns of the loop. */
static inline void pass_seconds(unsigned seconds)
{
#ifdef RACE
	ahead_s = seconds;
#else
	model_now_ns += seconds * 1000000000ll;
#endif
}

/* For a timer, or a worker of the kernel. */
static inline void pause_shortly(void)
{
	if (!host_pass_time())
		usleep(100);
}

static inline enum fault_kind kind_of_socket_op(const struct vsock_socket_op *op)
{
	switch (op - op->socket->ops) {
	case VSOCK_SOCKET_CONNECT:
		return FAULT_CONNECT;
	case VSOCK_SOCKET_READ:
		return FAULT_READ;
	case VSOCK_SOCKET_WRITE:
		return FAULT_SEND;
	case VSOCK_SOCKET_POLL_IN:
	case VSOCK_SOCKET_POLL_OUT:
	case VSOCK_SOCKET_POLL_HANG_UP:
		return FAULT_POLL;
	default:
		return FAULT_SHUTDOWN;
	}
}

/* 0: it is not the vsock's. */
static inline enum fault_kind kind_of_op(const struct ring_op *op)
{
	const struct vsock_socket_op *socket_op = (const struct vsock_socket_op *)op;
	uintptr_t at = (uintptr_t)op, connections = (uintptr_t)vsock.connections.places,
		  greetings = (uintptr_t)vsock.listener.pool;
	enum fault_kind kind;

	if (op == &vsock.listener.accept_op)
		return FAULT_ACCEPT;
	if (at >= connections && at < connections + sizeof(vsock.connections.places))
		return kind_of_socket_op(socket_op);
	if (at < greetings || at >= greetings + sizeof(vsock.listener.pool))
		return 0;
	kind = kind_of_socket_op(socket_op);
	return kind == FAULT_READ ? FAULT_GREETING : kind;
}

/* An operation's result is lost, or half of it. */
static inline int32_t faulty_result(const struct ring_op *op, int32_t result)
{
	int error = fault_errors[fault_error % (sizeof(fault_errors) / sizeof(int))];

	if (op == &vsock.listener.accept_op && op->done == accepted_fn && result >= 0) {
		if (error == 0)
			return result;
		close(result);
	}
	if (error != 0)
		return -error;
	return kind_of_op(op) == FAULT_SEND && result > 1 ? result / 2 : result;
}

/* One turn of the event loop, without waiting. False: nothing had completed. */
static inline bool faulty_turn(void)
{
	struct io_uring_cqe *completion;
	unsigned head;
	bool some;

	hurry_timers();
	CHECK(io_uring_submit_and_get_events(&rig_ring.uring) >= 0);
	some = io_uring_cq_ready(&rig_ring.uring) > 0;
	io_uring_for_each_cqe(&rig_ring.uring, head, completion)
	{
		struct ring_op *op = io_uring_cqe_get_data(completion);
		if (faults_left == 0 || !(faults & kind_of_op(op)))
			continue;
		faults_left--;
		completion->res = faulty_result(op, completion->res);
	}
	if (some)
		CHECK_EQ(ring_wait_for(&rig_ring, 0), 0);
	return some;
}

/* The device is new: all but few of its pools is never used. */
static inline void shrink_pools(void)
{
	struct vsock_connection *connections[FEW_CONNECTIONS - 1];
	void *packets[FEW_PACKETS];

	accepted_fn = vsock.listener.accept_op.done;
	for (unsigned i = 0; i < FEW_CONNECTIONS - 1; i++)
		connections[i] = vsock_connection_get(&vsock.connections);
	for (unsigned i = 0; i < FEW_CONNECTIONS - 1; i++)
		vsock_connection_put(connections[i]);
	vsock.connections.table.pool.n = vsock.connections.table.pool.fresh;
	for (unsigned i = 0; i < FEW_PACKETS; i++)
		packets[i] = pool_get(&vsock.tx.pool);
	for (unsigned i = 0; i < FEW_PACKETS; i++)
		pool_put(&vsock.tx.pool, packets[i]);
	vsock.tx.pool.n = vsock.tx.pool.fresh;
}

#endif
