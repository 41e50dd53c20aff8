/* SPDX-License-Identifier: MIT */
/* Receive chains of the guest that were taken off a queue and wait for something to receive. */
#ifndef VIRTIO_MMIO_RX_POOL_H
#define VIRTIO_MMIO_RX_POOL_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "virtio-mmio/iov.h"
#include "virtio-mmio/pool.h"
#include "virtio-mmio/queue.h"

/* Drivers use one or two parts a buffer: 256 buffers then lie on a few pages, not on one each. */
#define RX_FEW_PARTS 2

struct rx_buffer {
	struct rx_buffer *next; /* free, or ready */
	struct iov parts;
	uint32_t bytes; /* of the parts that count */
	uint16_t head;
	struct iovec few[RX_FEW_PARTS];
};

struct rx_pool {
	struct rx_buffer *ready, **ready_end; /* in the order of the queue */
	unsigned n_ready;
	uint64_t ready_bytes;
	struct pool free; /* of buffers[] */
	struct rx_buffer buffers[VIRTQUEUE_MAX_SIZE];
	struct virtqueue_chain popped;
	struct iovec many[VIRTQUEUE_MAX_SIZE]
			 [VIRTQUEUE_MAX_SIZE]; /* parts that are more than a few */
};

/* Forgets everything, also buffers that were taken. */
void rx_pool_reset(struct rx_pool *pool);

/* Takes all available chains off the queue. Each must be writable only and hold min_bytes; bytes beyond max_bytes do not
 * count. False: the queue is broken. */
bool rx_pool_fill(struct rx_pool *pool, struct virtqueue *queue, uint32_t min_bytes,
		  uint32_t max_bytes);

/* The ready chains, as a snapshot keeps them: the descriptors still say what they are. The avail ring does not: the driver may
 * have written new ones over them. */
struct rx_pool_state {
	uint16_t n, heads[VIRTQUEUE_MAX_SIZE];
};
static_assert(sizeof(struct rx_pool_state) == 258, "a file's format");

/* All taken buffers are put back. */
void rx_pool_save(const struct rx_pool *pool, struct rx_pool_state *state);

/* Into an empty pool; limits as for rx_pool_fill(). False: some are no receive buffers, or the queue has not so many. */
bool rx_pool_restore(struct rx_pool *pool, const struct virtqueue *queue,
		     const struct rx_pool_state *state, uint32_t min_bytes, uint32_t max_bytes);

/* Whether every buffer is taken: rx_pool_fill() adds none until one is put back. */
bool rx_pool_is_exhausted(const struct rx_pool *pool);

/* The first ready buffer, or NULL. */
struct rx_buffer *rx_pool_take(struct rx_pool *pool);

/* Puts a taken buffer back as the first ready one. */
void rx_pool_untake(struct rx_pool *pool, struct rx_buffer *buffer);

/* The buffer's chain was given back to the guest. */
void rx_pool_put(struct rx_pool *pool, struct rx_buffer *buffer);

#endif
