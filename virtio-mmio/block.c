/*
 * Theory of operation. A kick runs take_requests(): chains are popped into requests of a fixed pool,
 * checked, and prepared on the ring, all before one submission. Data goes straight between the image
 * and guest memory, in steps of at most BLOCK_STEP_BYTES so that no request holds the ring's thread up; a
 * short read or write is continued like a step. Completions push the chain to the used ring; one
 * interrupt follows after the batch.
 *
 * Of reads, and of what may need one of the kernel's workers, only so much is on the ring at once; the rest waits for its
 * turn (block_workers.c).
 *
 * A reset forgets requests at once: it changes the device's generation, and a completion of another
 * generation only returns its request to the pool.
 */
#include "virtio-mmio/block.h"

#include <linux/virtio_ids.h>

#include "host/container_of.h"

#define RANGE_ALIGNMENT 8u /* 4 KiB, in sectors */
#define REQUEST_QUEUE   0

static void take_requests(struct virtio_device *device, unsigned queue);
static void complete(struct ring_op *op, int32_t result);

static struct block *block_of(struct virtio_device *device)
{
	return container_of(device, struct block, device);
}

static struct block_request *get_request(struct block *block)
{
	struct block_request *request = pool_get(&block->free_requests);

	if (request != NULL && request->block == NULL) { /* never used before */
		request->op.done = complete;
		request->block = block;
	}
	return request;
}

static void put_request(struct block_request *request)
{
	pool_put(&request->block->free_requests, request);
}

/* Answers the guest. The chain's used length counts the status byte, too. */
static void finish(struct block_request *request, uint8_t status)
{
	struct block *block = request->block;

	__atomic_store_n(request->status, status, __ATOMIC_RELAXED);
	virtqueue_push(&block->device.queues[REQUEST_QUEUE], request->chain.head,
		       request->written + 1);
	ring_after_batch(block->ring, &block->signal_task);
	put_request(request);
}

static void signal_guest(struct ring_task *task)
{
	struct block *block = container_of(task, struct block, signal_task);

	virtio_device_lock(&block->device);
	if (virtio_device_is_live(&block->device))
		virtio_device_signal(&block->device, &block->device.queues[REQUEST_QUEUE]);
	virtio_device_unlock(&block->device);
}

static void complete(struct ring_op *op, int32_t result)
{
	struct block_request *request = container_of(op, struct block_request, op);
	struct block *block = request->block;
	struct virtio_device *device = &block->device;

	virtio_device_lock(device);
	block_operation_ended(request, result);
	if (request->generation != device->generation || !virtio_device_is_live(device)) {
		put_request(request);
	} else if (!block_try_again(request, result)) {
		int status = block_request_step_done(request, result);
		if (status != BLOCK_IN_PROGRESS)
			finish(request, (uint8_t)status);
	}
	block_start_waiting(block);
	if (device->in_flight == 0)
		virtio_device_drained(device);
	if (block->starved && !pool_is_empty(&block->free_requests) &&
	    virtio_device_is_live(device))
		take_requests(device, REQUEST_QUEUE);
	virtio_device_unlock(device);
}

static void forget_waiting(struct block *block)
{
	for (struct block_request *request; (request = block_take_waiting(block)) != NULL;)
		put_request(request);
	block->refusal.since_ms = 0;
}

/* Pops chains until the queue is empty, the pool is empty, or a queue's worth is done: a driver that
 * refills as fast as it is served must not keep the ring's thread. */
static void take_requests(struct virtio_device *device, unsigned queue_index)
{
	struct block *block = block_of(device);
	struct virtqueue *queue = &device->queues[queue_index];

	block->starved = false;
	virtqueue_disable_kicks(queue);
	for (unsigned share = queue->size; share > 0; share--) {
		struct block_request *request = get_request(block);
		int status = BLOCK_IN_PROGRESS;

		if (request == NULL) {
			block->starved = true;
			return; /* complete() goes on */
		}
		enum virtqueue_result result = virtqueue_pop(queue, &request->chain);
		if (result == VIRTQUEUE_EMPTY) {
			put_request(request);
			if (!virtqueue_enable_kicks(queue))
				return;
			continue;
		}
		request->generation = device->generation;
		if (result == VIRTQUEUE_BROKEN || !block_request_begin(request, &status)) {
			put_request(request);
			virtio_device_break(device);
			forget_waiting(block);
			return;
		}
		if (status != BLOCK_IN_PROGRESS)
			finish(request, (uint8_t)status);
	}
	virtio_device_kick_again(device, queue_index);
}

static void reset(struct virtio_device *device)
{
	block_of(device)->starved = false;
	forget_waiting(block_of(device));
}

static const struct virtio_device_type block_type = {
	.name = "block",
	.device_id = VIRTIO_ID_BLOCK,
	.n_queues = 1,
	.queue_notify = take_requests,
	.reset = reset,
};

static void announce(struct block *block)
{
	struct virtio_device *device = &block->device;

	device->offered_features = (uint64_t)1 << VIRTIO_BLK_F_SEG_MAX |
				   (uint64_t)1 << VIRTIO_BLK_F_BLK_SIZE |
				   (uint64_t)1 << VIRTIO_BLK_F_FLUSH;
	if (block->image.read_only)
		device->offered_features |= (uint64_t)1 << VIRTIO_BLK_F_RO;
	else
		device->offered_features |= (uint64_t)1 << VIRTIO_BLK_F_DISCARD |
					    (uint64_t)1 << VIRTIO_BLK_F_WRITE_ZEROES;
	block->config = (struct virtio_blk_config){
		.capacity = block->image.sectors,
		.seg_max = VIRTQUEUE_MAX_SIZE - 2, /* header and status take one each */
		.blk_size = SECTOR_BYTES,
		.max_discard_sectors = BLOCK_MAX_RANGE_SECTORS,
		.max_discard_seg = 1,
		.discard_sector_alignment = RANGE_ALIGNMENT,
		.max_write_zeroes_sectors = BLOCK_MAX_RANGE_SECTORS,
		.max_write_zeroes_seg = 1,
		.write_zeroes_may_unmap = 1,
	};
	device->config = (const uint8_t *)&block->config;
	device->config_bytes = sizeof(block->config);
}

void block_init(struct block *block, const struct block_image *image,
		const struct guest_memory *memory, struct ring *ring, struct exit_request *exit)
{
	virtio_device_init(&block->device, &block_type, memory);
	block->image = *image;
	block->ring = ring;
	block->exit = exit;
	block->zero_method = ZERO_BY_RANGE;
	block->signal_task.run = signal_guest;
	pool_init(&block->free_requests, block->requests, sizeof(block->requests[0]),
		  VIRTQUEUE_MAX_SIZE);
	block_lanes_init(block);
	ring_allow_workers(ring, BLOCK_MAX_WORKERS + image->is_regular + image->head_unseen);
	announce(block);
}

static void head_read(struct ring_op *op, int32_t result)
{
	struct block *block = container_of(op, struct block, head_op);

	if (result == BLOCK_HEAD_BYTES)
		block_image_see_head(&block->image, block->head);
}

void block_start(struct block *block)
{
	if (!block->image.head_unseen)
		return;
	struct io_uring_sqe *sqe = ring_prepare(block->ring);
	io_uring_prep_read(sqe, block->image.fd, block->head, BLOCK_HEAD_BYTES, 0);
	block->head_op.done = head_read;
	ring_commit(sqe, &block->head_op);
}

bool block_is_busy(const struct block *block)
{
	return block->device.in_flight > 0 || block->worker_lane.first != NULL ||
	       block->inline_lane.first != NULL;
}

static void final_flush_done(struct ring_op *op, int32_t result)
{
	struct block_request *request = container_of(op, struct block_request, op);

	block_operation_ended(request, result);
	if (block_try_again(request, result))
		return;
	if (result < 0) {
		request->block->error_reported = false; /* this one is always told */
		block_request_fail(request, -result);
		request->block->final_flush_failed = true;
	}
}

void block_start_final_flush(struct block *block)
{
	struct block_request *request;

	if (block->writes == block->flushed_writes || (request = get_request(block)) == NULL)
		return;
	request->op.done = final_flush_done;
	request->type = VIRTIO_BLK_T_FLUSH;
	request->offset = 0;
	block_request_submit(request);
}
