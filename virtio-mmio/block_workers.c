/*
 * What io_uring cannot do at once it gives to a worker, a thread of this process that the kernel makes: each fsync and
 * fallocate, most writes, and all that is done to files which cannot be read without waiting (FUSE, overlayfs, tmpfs).
 * All disks share these workers, so none may have more than its share: each has BLOCK_MAX_WORKERS operations on the ring
 * that may need one, and its further ones wait here, in their order. The ring is told to allow as many workers as all
 * shares are, and one more for each disk's writes.
 *
 * Reads of other files and devices are begun by the event loop itself, and there it waits when the device has no request
 * (tag) free: one that hangs would stop all disks and the signals once its requests are used up. So of these reads, too,
 * a disk has only so many on the ring, fewer than devices commonly have requests, and the others wait.
 *
 * A host that can make no worker (pids.max, RLIMIT_NPROC) cancels the operation. It is tried again for a while; then the
 * VM ends, because its disks no longer work and that is no fault of theirs.
 */
#include <errno.h>

#include "host/container_of.h"
#include "host/error.h"
#include "host/message.h"
#include "virtio-mmio/block.h"

/* What a device commonly does with one request of its own; a longer read counts as several. */
#define INLINE_UNIT_BYTES ((uint64_t)128 << 10)

/* Which lane the request's next step goes in. NULL for the writes of a regular file: of these the kernel does one after
 * the other, with a single worker however many there are, and the more there are the less often it sleeps. */
static struct block_lane *choose_lane(const struct block_request *request)
{
	struct block *block = request->block;
	bool is_write =
		request->type == VIRTIO_BLK_T_OUT || (request->type == VIRTIO_BLK_T_WRITE_ZEROES &&
						      request->zero_method == ZERO_BY_WRITE);

	if (request->type == VIRTIO_BLK_T_IN && !block->image.reads_need_worker)
		return &block->inline_lane;
	return is_write && block->image.is_regular ? NULL : &block->worker_lane;
}

static void enter_lane(struct block_request *request, struct block_lane *lane)
{
	uint64_t step =
		request->remaining < BLOCK_STEP_BYTES ? request->remaining : BLOCK_STEP_BYTES;

	request->lane = lane;
	request->cost = 1;
	if (lane == &request->block->inline_lane && step > 0)
		request->cost = (unsigned)((step - 1) / INLINE_UNIT_BYTES) + 1;
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

static void start(struct block_request *request)
{
	if (request->lane != NULL)
		request->lane->n += request->cost;
	block_request_prepare(request);
	request->block->device.in_flight++;
	request->block->ring->with_workers++;
}

static void start_first(struct block_lane *lane)
{
	while (lane->first != NULL && has_room(lane, lane->first->cost))
		start(take_first(lane));
}

void block_lanes_init(struct block *block)
{
	block->worker_lane = (struct block_lane){ .limit = BLOCK_MAX_WORKERS };
	block->worker_lane.end = &block->worker_lane.first;
	block->inline_lane = (struct block_lane){ .limit = BLOCK_MAX_INLINE };
	block->inline_lane.end = &block->inline_lane.first;
}

void block_request_submit(struct block_request *request)
{
	struct block_lane *lane = choose_lane(request);

	enter_lane(request, lane);
	if (lane != NULL && (lane->first != NULL || !has_room(lane, request->cost)))
		append(request);
	else
		start(request);
}

struct block_request *block_take_waiting(struct block *block)
{
	struct block_request *request = take_first(&block->worker_lane);

	return request != NULL ? request : take_first(&block->inline_lane);
}

void block_start_waiting(struct block *block)
{
	if (!block->retry_pending)
		start_first(&block->worker_lane);
	start_first(&block->inline_lane);
}

static void retry(struct ring_op *op, int32_t result)
{
	struct block *block = container_of(op, struct block, retry_op);

	(void)result;
	virtio_device_lock(&block->device);
	block->retry_pending = false;
	block_start_waiting(block);
	virtio_device_unlock(&block->device);
}

static void retry_later(struct block *block)
{
	static struct __kernel_timespec pause = { .tv_nsec = REFUSAL_PAUSE_NS };

	if (block->retry_pending)
		return;
	block->retry_pending = true;
	block->retry_op.done = retry;
	struct io_uring_sqe *sqe = ring_prepare(block->ring);
	io_uring_prep_timeout(sqe, &pause, 0, 0);
	ring_commit(sqe, &block->retry_op);
}

static void give_up(struct block *block)
{
	if (exit_request_post(block->exit, EXIT_HOST_REFUSED))
		warn("disk %s: the host makes no task that would do its I/O (pids.max of a cgroup, "
		     "or RLIMIT_NPROC)",
		     block->image.path);
	block->error_reported = true;
}

static bool is_refusal(int32_t result)
{
	return result == -ECANCELED || result == -EAGAIN;
}

void block_operation_ended(struct block_request *request, int32_t result)
{
	struct block *block = request->block;

	block->device.in_flight--;
	block->ring->with_workers--;
	if (request->lane != NULL)
		request->lane->n -= request->cost;
	/* That a read was begun at once tells nothing of the workers. */
	if (request->lane != &block->inline_lane && !is_refusal(result))
		block->refusal.since_ms = 0;
}

bool block_try_again(struct block_request *request, int32_t result)
{
	struct block *block = request->block;

	if (!is_refusal(result))
		return false;
	if (!refusal_may_pass(&block->refusal)) {
		if (result == -ECANCELED)
			give_up(block);
		return false;
	}
	enter_lane(request, &block->worker_lane);
	append(request);
	retry_later(block);
	return true;
}
