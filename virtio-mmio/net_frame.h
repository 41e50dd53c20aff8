/* SPDX-License-Identifier: MIT */
/* One frame to the guest, and the receive buffers that it is spread over. */
#ifndef VIRTIO_MMIO_NET_FRAME_H
#define VIRTIO_MMIO_NET_FRAME_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>

#include "virtio-mmio/iov.h"
#include "virtio-mmio/rx_pool.h"
#include "virtio-mmio/virtio_device.h"

/* Buffers of the guest that one frame may be spread over: with 1.5 KiB each, the largest frame. */
#define NET_FRAME_BUFFERS 64u
#define NET_FRAME_PARTS   256u

struct net_frame {
	unsigned n_buffers;
	uint64_t bytes; /* that they hold */
	struct rx_buffer *buffers[NET_FRAME_BUFFERS];
	struct iov data;                         /* in parts[] */
	struct iovec parts[NET_FRAME_PARTS + 1]; /* one more, behind the frame, is the caller's */
};

/* Whether the pool has buffers for a frame of so many bytes, with its header. A driver with few buffers in all gets what
 * they can hold: half a queue is always enough. */
bool net_frame_has_room(const struct virtio_device *device, const struct rx_pool *pool,
			uint32_t bytes);

/* Takes as many buffers as the frame needs, or as there are. */
void net_frame_take(struct net_frame *frame, const struct virtio_device *device,
		    struct rx_pool *pool, uint32_t bytes);

/* Puts all of them back to the front of the pool. */
void net_frame_put_back(struct net_frame *frame, struct rx_pool *pool);

/* Gives the frame, of `length` bytes with its header, to the guest in as many chains as it fills (virtio 1.2, 5.1.6.4),
 * the rest of the buffers back to the pool. Completes the header and writes it. */
void net_frame_deliver(struct net_frame *frame, struct virtio_device *device, struct rx_pool *pool,
		       struct virtio_net_hdr_v1 *header, uint32_t length);

#endif
