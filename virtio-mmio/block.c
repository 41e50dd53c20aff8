/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. A kick runs take_requests(): chains are popped into requests of a fixed pool,
 * checked, and prepared on the ring, all before one submission. Data goes straight between the image
 * and guest memory, in steps of at most BLOCK_STEP_BYTES (block_step.c) so that no request holds up the ring's thread; a
 * short read or write is continued like a step. Completions push the chain to the used ring; one
 * interrupt follows after the batch.
 *
 * Only so many reads, and operations that may need one of the kernel's workers, are on the ring at once; the others wait
 * for their turn (block_lanes.c).
 *
 * A reset forgets requests at once: it changes the device's generation, and a completion of another
 * generation only returns its request to the pool.
 */
#include "virtio-mmio/block.h"

#include <linux/virtio_ids.h>

#include "host/container_of.h"
#include "virtio-mmio/block_overlay.h"
#include "virtio-mmio/block_step.h"

#define RANGE_ALIGNMENT 8u /* 4 KiB, in sectors */
#define REQUEST_QUEUE   0

static void complete(struct ring_op *op, int32_t result);
static void final_flush_done(struct ring_op *op, int32_t result);

static struct block *block_of(struct virtio_device *device)
{
	return container_of(device, struct block, device);
}

static struct block_request *get_request(struct block *block)
{
	struct block_request *request = pool_get(&block->free_requests);

	if (request != NULL && request->store == NULL) { /* never used before */
		request->op.done = complete;
		request->store = &block->store;
		if (block->store.image->overlay != NULL)
			request->copy = block->store.image->overlay->copies +
					(size_t)(request - block->requests) * OVERLAY_BLOCK_BYTES;
	}
	return request;
}

/* Answers the guest. The chain's used length counts the status byte, too. */
static void finish(struct block *block, struct block_request *request, uint8_t status)
{
	struct device_counters *count = &block->device.count;

	count->requests++;
	count->in_bytes += request->written;
	count->errors += status != VIRTIO_BLK_S_OK;
	__atomic_store_n(request->status, status, __ATOMIC_RELAXED);
	virtqueue_push(&block->device.queues[REQUEST_QUEUE], request->chain.head,
		       request->written + 1);
	virtio_device_signal_later(&block->device);
	pool_put(&block->free_requests, request);
}

/* Goes on with a request that has an answer, or a next step. */
static void go_on(struct block *block, struct block_request *request, int status)
{
	if (status == BLOCK_IN_PROGRESS)
		block_lanes_submit(&block->lanes, request);
	else
		finish(block, request, (uint8_t)status);
}

/* Its next use is a guest's. */
static void put_final_flush(struct block *block, struct block_request *request)
{
	request->op.done = complete;
	pool_put(&block->free_requests, request);
}

static void forget_waiting(struct block *block)
{
	struct block_request *request;

	while ((request = block_lanes_take_waiting(&block->lanes)) != NULL)
		if (request->op.done == final_flush_done)
			put_final_flush(block, request);
		else
			pool_put(&block->free_requests, request);
	block->lanes.refusal.since_ms = 0;
}

static void take_requests(struct virtio_device *device, unsigned queue)
{
	struct block *block = block_of(device);
	struct virtio_turn turn = virtio_turn_begin(device, queue);
	struct block_request *request;
	int status;

	while ((request = get_request(block)) != NULL && virtio_turn_take(&turn, &request->chain)) {
		request->generation = device->generation;
		if (!block_request_begin(request, &status)) {
			virtio_device_break(device);
			break;
		}
		go_on(block, request, status);
	}
	block->starved = request == NULL; /* complete() goes on */
	if (request != NULL)
		pool_put(&block->free_requests, request);
	if (!virtio_device_is_live(device)) /* broken */
		forget_waiting(block);
}

static int step_done(struct block *block, struct block_request *request, int32_t result)
{
	bool is_write = request->type == VIRTIO_BLK_T_OUT;
	uint64_t before = request->remaining;
	int status = block_step_done(request, result);

	if (is_write)
		block->device.count.out_bytes += before - request->remaining;
	return status;
}

/* With the lock: one operation less is on the ring. */
static void go_on_with_others(struct block *block)
{
	struct virtio_device *device = &block->device;

	block_lanes_start_waiting(&block->lanes);
	if (device->in_flight == 0)
		virtio_device_drained(device);
	if (block->starved && !pool_is_empty(&block->free_requests) &&
	    virtio_device_is_live(device))
		take_requests(device, REQUEST_QUEUE);
}

static void complete(struct ring_op *op, int32_t result)
{
	struct block_request *request = container_of(op, struct block_request, op);
	struct block *block = container_of(request->store, struct block, store);
	struct virtio_device *device = &block->device;

	virtio_device_lock(device);
	block_lanes_operation_ended(&block->lanes, request, result);
	if (!virtio_device_awaits(device, request->generation))
		pool_put(&block->free_requests, request);
	else if (!block_lanes_try_again(&block->lanes, request, result))
		go_on(block, request, step_done(block, request, result));
	go_on_with_others(block);
	virtio_device_unlock(device);
}

/* A driver that has not accepted VIRTIO_BLK_F_FLUSH cannot ask for stable storage: every write goes there (virtio 1.2,
 * 5.2.5). */
static void activate(struct virtio_device *device)
{
	block_of(device)->store.write_through =
		!virtio_device_has_feature(device, VIRTIO_BLK_F_FLUSH);
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
	.activate = activate,
	.reset = reset,
};

static void announce(struct block *block)
{
	struct virtio_device *device = &block->device;

	device->offered_features = VIRTIO_FEATURE(VIRTIO_BLK_F_SEG_MAX) |
				   VIRTIO_FEATURE(VIRTIO_BLK_F_BLK_SIZE) |
				   VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH);
	if (block->store.image->read_only)
		device->offered_features |= VIRTIO_FEATURE(VIRTIO_BLK_F_RO);
	else
		device->offered_features |= VIRTIO_FEATURE(VIRTIO_BLK_F_DISCARD) |
					    VIRTIO_FEATURE(VIRTIO_BLK_F_WRITE_ZEROES);
	block->config = (struct virtio_blk_config){
		.capacity = block->store.image->sectors,
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
	virtio_device_init(&block->device, &block_type, memory, ring);
	block->store = (struct block_store){ .image = image, .zero_method = ZERO_BY_RANGE };
	block_lanes_init(&block->lanes, &block->device, image, exit);
	pool_init(&block->free_requests, block->requests, sizeof(block->requests[0]),
		  VIRTQUEUE_MAX_SIZE);
	announce(block);
}

static void head_read(struct ring_op *op, int32_t result)
{
	struct block *block = container_of(op, struct block, head_op);

	if (result == BLOCK_HEAD_BYTES)
		block_look_at_head(block->store.image, block->head);
}

void block_start(struct block *block)
{
	const struct block_image *image = block->store.image;

	if (!image->head_unseen)
		return;
	struct io_uring_sqe *sqe = ring_prepare(block->device.ring);
	io_uring_prep_read(sqe, image->fd, block->head, BLOCK_HEAD_BYTES, 0);
	block->head_op.done = head_read;
	ring_commit(sqe, &block->head_op);
}

bool block_is_busy(const struct block *block)
{
	return block_lanes_are_busy(&block->lanes);
}

bool block_is_unflushed(const struct block *block)
{
	return block->store.writes != block->store.flushed_writes || block_is_busy(block);
}

static void end_final_flush(struct block *block, struct block_request *request, int32_t result)
{
	int status;

	block->store.error_reported = false; /* this one is always told */
	status = block_step_done(request, result);
	if (status == BLOCK_IN_PROGRESS) {
		block_lanes_submit(&block->lanes, request);
		return;
	}
	block->final_flush_failed = status != VIRTIO_BLK_S_OK;
	put_final_flush(block, request);
}

/* The guest may have gone on meanwhile, if the flush was too slow for a snapshot. */
static void final_flush_done(struct ring_op *op, int32_t result)
{
	struct block_request *request = container_of(op, struct block_request, op);
	struct block *block = container_of(request->store, struct block, store);

	virtio_device_lock(&block->device);
	block_lanes_operation_ended(&block->lanes, request, result);
	if (!block_lanes_try_again(&block->lanes, request, result))
		end_final_flush(block, request, result);
	go_on_with_others(block);
	virtio_device_unlock(&block->device);
}

void block_start_final_flush(struct block *block)
{
	struct block_request *request;

	if (block->store.writes == block->store.flushed_writes ||
	    (request = get_request(block)) == NULL)
		return;
	request->op.done = final_flush_done;
	block_request_make_flush(request);
	block_lanes_submit(&block->lanes, request);
}
