/* SPDX-License-Identifier: MIT */
/*
 * The kernel's end of an io_uring, in the place of liburing's calls: host/ring.c is as it is. The input chooses a policy: what may
 * complete does so in the order of submission, in the opposite one, one at a time, or late, also behind a reset; whoever waits gets
 * something, and if nothing else comes about, time passes.
 */
#ifndef TESTS_FUZZ_MODEL_RING_H
#define TESTS_FUZZ_MODEL_RING_H

#include <liburing.h>

#include "tests/fuzz/model/calls.h"

#include "tests/fuzz/model/begin.h"

#define MODEL_MAX_PENDING 1024u

enum model_policy {
	MODEL_IN_ORDER,
	MODEL_NEWEST_FIRST,
	MODEL_ONE_AT_A_TIME,
	MODEL_NEWEST_ONE,
	MODEL_HOLD_FILES,  /* reads and writes wait until nothing else is left */
	MODEL_HOLD_SECOND, /* every other operation */
	MODEL_POLICIES,
};

struct model_operation {
	struct io_uring_sqe sqe;
	struct model_object *object; /* NULL: no such descriptor, or none is needed */
	int64_t end_ns;              /* of a timeout */
	bool held;
};

static struct {
	struct io_uring *ring;
	unsigned sq_head, sq_tail, cq_head, cq_tail, flags;
	struct io_uring_sqe sqes[4096];
	struct io_uring_cqe cqes[4096];
	unsigned array[4096];
	struct model_operation operations[MODEL_MAX_PENDING];
	/* Those that are pending, in the order of submission, and behind them the free ones. */
	uint16_t order[MODEL_MAX_PENDING];
	unsigned n_pending, n_submitted;
	enum model_policy policy;
	bool allowed[256]; /* operations */
} model_ring;

int io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
			       struct io_uring_params *params)
{
	CHECK(entries <= 4096 && params->cq_entries <= 4096);
	memset(ring, 0, sizeof(*ring));
	ring->sq.khead = &model_ring.sq_head;
	ring->sq.ktail = &model_ring.sq_tail;
	ring->sq.kflags = &model_ring.flags;
	ring->sq.array = model_ring.array;
	ring->sq.sqes = model_ring.sqes;
	ring->sq.ring_entries = entries;
	ring->sq.ring_mask = entries - 1;
	ring->sq.kring_mask = &ring->sq.ring_mask;
	ring->sq.kring_entries = &ring->sq.ring_entries;
	ring->cq.khead = &model_ring.cq_head;
	ring->cq.ktail = &model_ring.cq_tail;
	ring->cq.cqes = model_ring.cqes;
	ring->cq.ring_entries = params->cq_entries;
	ring->cq.ring_mask = params->cq_entries - 1;
	ring->features = IORING_FEAT_EXT_ARG | IORING_FEAT_NATIVE_WORKERS;
	model_ring.sq_head = model_ring.sq_tail = model_ring.cq_head = model_ring.cq_tail = 0;
	CHECK_EQ(model_ring.n_pending, 0);
	for (unsigned i = 0; i < MODEL_MAX_PENDING; i++)
		model_ring.order[i] = (uint16_t)i;
	model_ring.ring = ring;
	return 0;
}

int io_uring_register_restrictions(struct io_uring *ring, struct io_uring_restriction *all,
				   unsigned n)
{
	(void)ring;
	memset(model_ring.allowed, 0, sizeof(model_ring.allowed));
	for (unsigned i = 0; i < n; i++)
		if (all[i].opcode == IORING_RESTRICTION_SQE_OP)
			model_ring.allowed[all[i].sqe_op] = true;
	return 0;
}

int io_uring_register_iowq_max_workers(struct io_uring *ring, unsigned *values)
{
	(void)ring, (void)values;
	return 0;
}

int io_uring_enable_rings(struct io_uring *ring)
{
	(void)ring;
	return 0;
}

static inline struct model_operation *model_pending(unsigned index)
{
	return &model_ring.operations[model_ring.order[index]];
}

static inline void model_drop(unsigned index)
{
	struct model_object *object = model_pending(index)->object;
	uint16_t place = model_ring.order[index];

	memmove(&model_ring.order[index], &model_ring.order[index + 1],
		(--model_ring.n_pending - index) * sizeof(model_ring.order[0]));
	model_ring.order[model_ring.n_pending] = place;
	if (object != NULL)
		model_release(object);
}

void io_uring_queue_exit(struct io_uring *ring)
{
	while (model_ring.n_pending > 0)
		model_drop(model_ring.n_pending - 1);
	memset(ring, 0, sizeof(*ring));
}

static inline void model_complete(uint64_t user_data, int32_t result)
{
	struct io_uring_cq *cq = &model_ring.ring->cq;

	cq->cqes[model_ring.cq_tail++ & cq->ring_mask] =
		(struct io_uring_cqe){ .user_data = user_data, .res = result };
}

/* For a cancellation and what it cancels. */
static inline bool model_has_room(void)
{
	return model_ring.cq_tail - model_ring.cq_head < model_ring.ring->cq.ring_entries - 1;
}

static inline bool model_is_transfer(const struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_READ:
	case IORING_OP_WRITE:
	case IORING_OP_READV:
	case IORING_OP_WRITEV:
	case IORING_OP_FSYNC:
	case IORING_OP_FALLOCATE:
	case IORING_OP_RECV:
		return true;
	default:
		return false;
	}
}

/* One operation; or all of them, for a ring that is closed, which nobody hears of. */
static inline int32_t model_cancel(const struct io_uring_sqe *sqe)
{
	bool any = sqe->cancel_flags & IORING_ASYNC_CANCEL_ANY;
	int32_t result = -ENOENT;

	for (unsigned i = 0; i < model_ring.n_pending;) {
		struct io_uring_sqe *other = &model_pending(i)->sqe;
		if (other == sqe || (!any && other->user_data != sqe->addr)) {
			i++;
			continue;
		}
		if (!any)
			model_complete(other->user_data, -ECANCELED);
		model_drop(i);
		result = 0;
		if (!any)
			break;
	}
	return result;
}

static inline int64_t model_transfer(struct model_operation *operation)
{
	const struct io_uring_sqe *sqe = &operation->sqe;
	struct iovec one = { (void *)(uintptr_t)sqe->addr, sqe->len };
	const struct iovec *parts = (const void *)(uintptr_t)sqe->addr;
	struct model_object *object = operation->object;
	int64_t result;

	switch (sqe->opcode) {
	case IORING_OP_READ:
		return model_read(object, &one, 1, sqe->off);
	case IORING_OP_READV:
		result = model_read(object, parts, sqe->len, sqe->off);
		break;
	case IORING_OP_WRITE:
		return model_write(object, &one, 1, sqe->off);
	case IORING_OP_WRITEV:
		result = model_write(object, parts, sqe->len, sqe->off);
		break;
	case IORING_OP_RECV:
		result = model_receive(object, &one, 1, sqe->msg_flags & MSG_PEEK, NULL);
		return result == -EAGAIN && !(sqe->msg_flags & MSG_DONTWAIT) ? -EINPROGRESS
									     : result;
	case IORING_OP_FSYNC:
		return 0;
	default:
		return model_zero_file(object, sqe->off, sqe->addr);
	}
	return result == -EAGAIN && !(sqe->rw_flags & RWF_NOWAIT) ? -EINPROGRESS : result;
}

/* -EINPROGRESS: not yet. */
static inline int64_t model_try(struct model_operation *operation)
{
	const struct io_uring_sqe *sqe = &operation->sqe;
	struct model_object *object = operation->object;
	int64_t result;

	if (sqe->opcode == IORING_OP_TIMEOUT)
		return operation->end_ns <= model_now_ns ? -ETIME : -EINPROGRESS;
	if (sqe->opcode == IORING_OP_ASYNC_CANCEL)
		return model_cancel(sqe);
	if (object == NULL)
		return -EBADF;
	switch (sqe->opcode) {
	case IORING_OP_POLL_ADD:
		/* The ring has POLLRDHUP told, too, whoever asks for it. */
		result = model_poll(object) & (sqe->poll32_events | POLLHUP | POLLERR | POLLRDHUP);
		return result == 0 ? -EINPROGRESS : result;
	case IORING_OP_ACCEPT:
		result = model_accept(object, (int)sqe->accept_flags);
		return result == -EAGAIN && !(object->flags & O_NONBLOCK) ? -EINPROGRESS : result;
	case IORING_OP_CONNECT:
		return model_connect(object, (const void *)(uintptr_t)sqe->addr);
	case IORING_OP_SHUTDOWN:
		return model_shut_down(object, (int)sqe->len);
	default:
		CHECK(model_is_transfer(sqe));
		result = model_transfer(operation);
		return result == -EAGAIN && object->kind == MODEL_EVENT ? -EINPROGRESS : result;
	}
}

static inline void model_submit_one(const struct io_uring_sqe *sqe)
{
	struct model_operation *operation = model_pending(model_ring.n_pending++);

	CHECK(model_ring.n_pending < MODEL_MAX_PENDING);
	CHECK(model_ring.allowed[sqe->opcode] && !(sqe->flags & ~IOSQE_ASYNC));
	*operation = (struct model_operation){ .sqe = *sqe };
	model_ring.n_submitted++;
	if (sqe->opcode == IORING_OP_TIMEOUT) {
		const struct __kernel_timespec *at = (const void *)(uintptr_t)sqe->addr;
		operation->end_ns = at->tv_sec * 1000000000 + at->tv_nsec +
				    (sqe->timeout_flags & IORING_TIMEOUT_ABS ? 0 : model_now_ns);
	} else if (sqe->opcode != IORING_OP_ASYNC_CANCEL) {
		operation->object = model_of(sqe->fd);
		if (operation->object != NULL)
			operation->object->references++;
		operation->held =
			(model_ring.policy == MODEL_HOLD_FILES && model_is_transfer(sqe) &&
			 (operation->object == NULL || operation->object->kind != MODEL_EVENT)) ||
			(model_ring.policy == MODEL_HOLD_SECOND && model_ring.n_submitted % 2);
	}
}

/* What can complete does, as the policy has it. Returns whether anything has. */
static inline bool model_turn(void)
{
	bool newest =
		model_ring.policy == MODEL_NEWEST_FIRST || model_ring.policy == MODEL_NEWEST_ONE;
	bool one =
		model_ring.policy == MODEL_ONE_AT_A_TIME || model_ring.policy == MODEL_NEWEST_ONE;
	bool any = false;

	for (unsigned i = 0; i < model_ring.n_pending && model_has_room() && !(any && one);) {
		unsigned index = newest ? model_ring.n_pending - 1 - i : i;
		struct model_operation *operation = model_pending(index);
		uint64_t user_data = operation->sqe.user_data;
		int64_t result = operation->held ? -EINPROGRESS : model_try(operation);
		if (result == -EINPROGRESS) {
			i++;
			continue;
		}
		/* A cancelled operation has gone, and others have moved up. */
		for (index = 0; model_pending(index) != operation;)
			index++;
		model_complete(user_data, (int32_t)result);
		model_drop(index);
		any = true;
	}
	return any;
}

int io_uring_submit(struct io_uring *ring)
{
	struct io_uring_sq *sq = &ring->sq;
	int n = (int)(sq->sqe_tail - sq->sqe_head);

	while (sq->sqe_head != sq->sqe_tail)
		model_submit_one(&sq->sqes[sq->sqe_head++ & sq->ring_mask]);
	model_ring.sq_head = model_ring.sq_tail = sq->sqe_head;
	return n;
}

int io_uring_get_events(struct io_uring *ring)
{
	(void)ring;
	model_turn();
	return 0;
}

int io_uring_submit_and_get_events(struct io_uring *ring)
{
	int n = io_uring_submit(ring);

	model_turn();
	return n;
}

static inline bool model_release_held(void)
{
	bool any = false;

	for (unsigned i = 0; i < model_ring.n_pending; i++) {
		any |= model_pending(i)->held;
		model_pending(i)->held = false;
	}
	return any;
}

/* Until the next timer, or for so long. */
static inline void model_pass_time(int64_t most_ns)
{
	int64_t end_ns = model_now_ns + most_ns;

	for (unsigned i = 0; i < model_ring.n_pending; i++) {
		const struct model_operation *operation = model_pending(i);
		if (operation->sqe.opcode == IORING_OP_TIMEOUT && operation->end_ns < end_ns)
			end_ns = operation->end_ns;
	}
	if (end_ns > model_now_ns)
		model_now_ns = end_ns;
}

static inline bool model_has_completions(void)
{
	return model_ring.cq_tail != model_ring.cq_head;
}

/* False: the time was over first. */
static inline bool model_wait(int64_t most_ns)
{
	int64_t end_ns = model_now_ns + most_ns;

	while (!model_turn() && !model_has_completions()) {
		if (model_release_held())
			continue;
		if (model_now_ns >= end_ns)
			return false;
		model_pass_time(end_ns - model_now_ns);
	}
	return true;
}

int io_uring_submit_and_wait(struct io_uring *ring, unsigned n)
{
	int submitted = io_uring_submit(ring);

	(void)n;
	CHECK(model_wait(INT64_MAX / 4)); /* or it would sleep for ever */
	return submitted;
}

int io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **first, unsigned n,
				     struct __kernel_timespec *limit, sigset_t *signals)
{
	int submitted = io_uring_submit(ring);

	(void)first, (void)n, (void)signals;
	return model_wait(limit->tv_sec * 1000000000 + limit->tv_nsec) ? submitted : -ETIME;
}

unsigned io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **all, unsigned n)
{
	unsigned ready = model_ring.cq_tail - model_ring.cq_head;

	ready = ready < n ? ready : n;
	for (unsigned i = 0; i < ready; i++)
		all[i] = &ring->cq.cqes[(model_ring.cq_head + i) & ring->cq.ring_mask];
	return ready;
}

int __io_uring_get_cqe(struct io_uring *ring, struct io_uring_cqe **first, unsigned submit,
		       unsigned n, sigset_t *signals)
{
	(void)submit, (void)n, (void)signals;
	model_turn();
	return io_uring_peek_batch_cqe(ring, first, 1) == 1 ? 0 : -EAGAIN;
}

#include "tests/fuzz/model/end.h"

#endif
