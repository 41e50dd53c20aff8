/* SPDX-License-Identifier: MIT */
/*
 * io_uring gives an operation that would block to a worker, a thread of this process that the kernel makes: each fsync
 * and fallocate, most writes, and every operation on files that cannot be read without waiting (FUSE, overlayfs, tmpfs).
 * All disks share these workers, so no disk takes more than its share: it has BLOCK_MAX_WORKERS operations on the ring
 * that may need one, and the others wait here, in their order. The ring allows as many workers as all shares together,
 * and one more for each disk's writes.
 *
 * The event loop itself begins reads of other files and devices. It blocks there when the device has no request (tag)
 * left: a device that hangs would stop all disks and the signals. So a disk also has a limited number of these reads on
 * the ring, less than devices commonly have requests.
 *
 * Of a disk with an overlay, a write that needs the rest of a block from the base runs while no other brings blocks into
 * the overlay: it would put the base's bytes over the other's. So does fallocate. Both take all of a third lane, where a
 * write of whole new blocks takes one place. A flush is several operations, and takes all places for workers, so that
 * there is one at a time.
 *
 * A host that can make no worker (pids.max, RLIMIT_NPROC) cancels the operation. The operation is retried for a second;
 * then the VM ends, because its disks work no longer and not by their fault.
 */
#include "virtio-mmio/block_lanes.h"

#include <errno.h>

#include "host/container_of.h"
#include "host/error.h"
#include "host/message.h"
#include "virtio-mmio/block_step.h"

/* As much as a device commonly does with one request of its own; a longer read counts as several. */
#define INLINE_UNIT_BYTES ((uint64_t)128 << 10)

/* NULL for writes of a regular file: the kernel does these one after the other, with a single worker, and the more there
 * are the less often it sleeps. */
static void enter_lane(struct block_lanes *lanes, struct block_request *request)
{
	bool has_overlay = lanes->image->overlay != NULL;

	request->lane = &lanes->worker_lane;
	request->cost = 1;
	switch (request->step) {
	case BLOCK_READ:
	case BLOCK_COPY:
		if (request->file->reads_need_worker)
			break;
		request->lane = &lanes->inline_lane;
		if (request->step_bytes > INLINE_UNIT_BYTES)
			request->cost =
				(unsigned)((request->step_bytes - 1) / INLINE_UNIT_BYTES) + 1;
		break;
	case BLOCK_WRITE:
		if (request->file->is_regular)
			request->lane = NULL;
		break;
	case BLOCK_FILL:
		request->lane = &lanes->fill_lane;
		break;
	case BLOCK_RANGE:
		if (!has_overlay)
			break;
		/* fall through */
	case BLOCK_MERGE:
		request->lane = &lanes->fill_lane;
		request->cost = request->lane->limit;
		break;
	case BLOCK_SYNC:
	case BLOCK_STORE:
		/* One flush at a time. */
		if (has_overlay)
			request->cost = request->lane->limit;
		break;
	}
}

static bool has_room(const struct block_lane *lane, unsigned cost)
{
	return lane->n + cost <= lane->limit;
}

static void append(struct block_request *request)
{
	struct block_lane *lane = request->lane;

	request->next = NULL;
	*lane->end = request;
	lane->end = &request->next;
}

static void put_first(struct block_request *request)
{
	struct block_lane *lane = request->lane;

	request->next = lane->first;
	if (lane->first == NULL)
		lane->end = &request->next;
	lane->first = request;
}

static struct block_request *take_first(struct block_lane *lane)
{
	struct block_request *request = lane->first;

	if (request == NULL)
		return NULL;
	lane->first = request->next;
	if (lane->first == NULL)
		lane->end = &lane->first;
	return request;
}

static void start(struct block_lanes *lanes, struct block_request *request)
{
	struct io_uring_sqe *sqe = ring_prepare(lanes->device->ring);

	if (request->lane != NULL)
		request->lane->n += request->cost;
	block_step_prepare(request, sqe);
	ring_commit(sqe, &request->op);
	lanes->device->in_flight++;
	lanes->device->ring->with_workers++;
}

static void start_first(struct block_lanes *lanes, struct block_lane *lane)
{
	while (lane->first != NULL && has_room(lane, lane->first->cost))
		start(lanes, take_first(lane));
}

static void retry(struct ring_op *op, int32_t result)
{
	struct block_lanes *lanes = container_of(op, struct block_lanes, retry_op);

	(void)result;
	virtio_device_lock(lanes->device);
	lanes->retry_pending = false;
	block_lanes_start_waiting(lanes);
	virtio_device_unlock(lanes->device);
}

void block_lanes_init(struct block_lanes *lanes, struct virtio_device *device,
		      const struct block_image *image, struct exit_request *exit)
{
	*lanes = (struct block_lanes){
		.device = device,
		.image = image,
		.exit = exit,
		.worker_lane = { .limit = BLOCK_MAX_WORKERS, .end = &lanes->worker_lane.first },
		.inline_lane = { .limit = BLOCK_MAX_INLINE, .end = &lanes->inline_lane.first },
		.fill_lane = { .limit = VIRTQUEUE_MAX_SIZE, .end = &lanes->fill_lane.first },
		.retry_op.done = retry,
	};
}

unsigned block_lanes_workers(const struct block_image *image)
{
	/* An overlay has writes and one fallocate. */
	return BLOCK_MAX_WORKERS + image->head_unseen +
	       (image->overlay != NULL ? 2 : image->is_regular);
}

/* A flush that has begun has all places of its lane, and keeps them. */
static bool must_wait(const struct block_request *request)
{
	const struct block_lane *lane = request->lane;

	return lane != NULL && request->flush_phase == FLUSH_DATA &&
	       (lane->first != NULL || !has_room(lane, request->cost));
}

void block_lanes_submit(struct block_lanes *lanes, struct block_request *request)
{
	block_step_plan(request);
	enter_lane(lanes, request);
	if (must_wait(request))
		append(request);
	else
		start(lanes, request);
}

struct block_request *block_lanes_take_waiting(struct block_lanes *lanes)
{
	struct block_request *request = take_first(&lanes->worker_lane);

	if (request == NULL)
		request = take_first(&lanes->inline_lane);
	return request != NULL ? request : take_first(&lanes->fill_lane);
}

bool block_lanes_are_busy(const struct block_lanes *lanes)
{
	return lanes->device->in_flight > 0 || lanes->worker_lane.first != NULL ||
	       lanes->inline_lane.first != NULL || lanes->fill_lane.first != NULL;
}

void block_lanes_start_waiting(struct block_lanes *lanes)
{
	if (!lanes->retry_pending) {
		start_first(lanes, &lanes->worker_lane);
		start_first(lanes, &lanes->fill_lane);
	}
	start_first(lanes, &lanes->inline_lane);
}

static void retry_later(struct block_lanes *lanes)
{
	static struct __kernel_timespec pause = { .tv_nsec = REFUSAL_PAUSE_NS };

	if (lanes->retry_pending)
		return;
	lanes->retry_pending = true;
	struct io_uring_sqe *sqe = ring_prepare(lanes->device->ring);
	io_uring_prep_timeout(sqe, &pause, 0, 0);
	ring_commit(sqe, &lanes->retry_op);
}

static void give_up(const struct block_lanes *lanes, struct block_store *store)
{
	if (exit_request_post(lanes->exit, EXIT_HOST_REFUSED))
		warn("disk %s: the host makes no task that would do its I/O (pids.max of a cgroup, "
		     "or RLIMIT_NPROC)",
		     lanes->image->path);
	store->error_reported = true;
}

static bool is_refusal(int32_t result)
{
	return result == -ECANCELED || result == -EAGAIN;
}

void block_lanes_operation_ended(struct block_lanes *lanes, struct block_request *request,
				 int32_t result)
{
	lanes->device->in_flight--;
	lanes->device->ring->with_workers--;
	if (request->lane != NULL)
		request->lane->n -= request->cost;
	/* A read that needs no worker proves nothing about them. */
	if (request->lane != &lanes->inline_lane && !is_refusal(result))
		lanes->refusal.since_ms = 0;
}

bool block_lanes_try_again(struct block_lanes *lanes, struct block_request *request, int32_t result)
{
	if (!is_refusal(result))
		return false;
	if (!refusal_may_pass(&lanes->refusal)) {
		if (result == -ECANCELED)
			give_up(lanes, request->store);
		return false;
	}
	/* First in its lane: no other may come between the steps of a flush. */
	if (request->lane == NULL || request->lane == &lanes->inline_lane) {
		request->lane = &lanes->worker_lane;
		request->cost = 1;
	}
	put_first(request);
	retry_later(lanes);
	return true;
}
