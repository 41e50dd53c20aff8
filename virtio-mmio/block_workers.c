/*
 * What io_uring cannot do at once it gives to a worker, a thread of this process that the kernel makes: each fsync and
 * fallocate, most writes, and all that is done to files which cannot be read without waiting (FUSE, overlayfs, tmpfs).
 * All disks share these workers, so none may have more than its share: each has BLOCK_MAX_WORKERS operations on the ring
 * that may need one, and its further ones wait here, in their order. The ring is told to allow as many workers as all
 * shares are, and one more for each disk's writes.
 *
 * A host that can make no worker (pids.max, RLIMIT_NPROC) cancels the operation. It is tried again for a while; then the
 * VM ends, because its disks no longer work and that is no fault of theirs.
 */
#include <errno.h>
#include <stddef.h>

#include "host/clock.h"
#include "host/fail.h"
#include "virtio-mmio/block.h"

#define RETRY_NS      50000000
#define RETRY_LAST_MS 1000

/* All but reads that can be begun without waiting, and the writes of a regular file: of these the kernel does one after
 * the other, with a single worker however many there are, and the more there are the less often it sleeps. */
static bool needs_share(const struct block_request *request)
{
	const struct block_image *image = &request->block->image;
	bool is_write =
		request->type == VIRTIO_BLK_T_OUT || (request->type == VIRTIO_BLK_T_WRITE_ZEROES &&
						      request->zero_method == ZERO_BY_WRITE);

	if (request->type == VIRTIO_BLK_T_IN)
		return image->reads_need_worker;
	return !(is_write && image->is_regular);
}

static void append(struct block_request *request)
{
	struct block *block = request->block;

	request->next = NULL;
	*block->waiting_end = request;
	block->waiting_end = &request->next;
}

static void start(struct block_request *request, bool has_share)
{
	request->has_share = has_share;
	request->block->n_shares += has_share;
	block_request_prepare(request);
	request->block->device.in_flight++;
	request->block->ring->with_workers++;
}

void block_request_submit(struct block_request *request)
{
	struct block *block = request->block;
	bool has_share = needs_share(request);

	if (has_share && (block->n_shares == BLOCK_MAX_WORKERS || block->waiting != NULL))
		append(request);
	else
		start(request, has_share);
}

struct block_request *block_take_waiting(struct block *block)
{
	struct block_request *request = block->waiting;

	if (request == NULL)
		return NULL;
	block->waiting = request->next;
	if (block->waiting == NULL)
		block->waiting_end = &block->waiting;
	return request;
}

void block_start_waiting(struct block *block)
{
	while (block->waiting != NULL && !block->retry_pending &&
	       block->n_shares < BLOCK_MAX_WORKERS)
		start(block_take_waiting(block), true);
}

static void retry(struct ring_op *op, int32_t result)
{
	struct block *block = (struct block *)((char *)op - offsetof(struct block, retry_op));

	(void)result;
	virtio_device_lock(&block->device);
	block->retry_pending = false;
	block_start_waiting(block);
	virtio_device_unlock(&block->device);
}

static void retry_later(struct block *block)
{
	static struct __kernel_timespec pause = { .tv_nsec = RETRY_NS };

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
	block->n_shares -= request->has_share;
	if (request->has_share && !is_refusal(result))
		block->refused_since_ms = 0;
}

bool block_try_again(struct block_request *request, int32_t result)
{
	struct block *block = request->block;
	int64_t now_ms = clock_now_ms();

	if (!is_refusal(result))
		return false;
	if (block->refused_since_ms == 0)
		block->refused_since_ms = now_ms;
	if (now_ms - block->refused_since_ms > RETRY_LAST_MS) {
		if (result == -ECANCELED)
			give_up(block);
		return false;
	}
	append(request);
	retry_later(block);
	return true;
}
