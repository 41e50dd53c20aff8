/* SPDX-License-Identifier: MIT */
/* virtio-blk (virtio 1.2, 5.2) on the ring. */
#ifndef VIRTIO_MMIO_BLOCK_H
#define VIRTIO_MMIO_BLOCK_H

#include <linux/virtio_blk.h>
#include <stdbool.h>

#include "host/exit_request.h"
#include "host/ring.h"
#include "virtio-mmio/block_image.h"
#include "virtio-mmio/block_lanes.h"
#include "virtio-mmio/block_look.h"
#include "virtio-mmio/block_request.h"
#include "virtio-mmio/pool.h"
#include "virtio-mmio/virtio_device.h"

struct block {
	struct virtio_device device;
	struct virtio_blk_config config;
	struct block_store store;
	struct block_lanes lanes;
	bool starved; /* requests wait because the pool is empty */
	bool final_flush_failed;
	struct ring_op head_op;
	char head[BLOCK_HEAD_BYTES];
	struct pool free_requests;
	struct block_request requests[VIRTQUEUE_MAX_SIZE];
};

/* `image` stays valid, and its owner closes it. Before ring_start(). A host that does no more I/O ends the VM by
 * `exit`. */
void block_init(struct block *block, const struct block_image *image,
		const struct guest_memory *memory, struct ring *ring, struct exit_request *exit);

/* After ring_start(), on the ring's thread. */
void block_start(struct block *block);

/* Whether requests wait or are on the ring. Ring's thread. */
bool block_is_busy(const struct block *block);

/* Whether it is, or has written what is not known to be on stable storage. Ring's thread. */
bool block_is_unflushed(const struct block *block);

/* While its queue is stopped: begins to flush the guest's writes, if any is not yet on stable storage.
 * block_is_busy() until that is done. */
void block_start_final_flush(struct block *block);

#endif
