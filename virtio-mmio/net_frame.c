/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/net_frame.h"

#include <stddef.h>

#include "virtio-mmio/net_link.h"

static bool merges(const struct virtio_device *device)
{
	return virtio_device_has_feature(device, VIRTIO_NET_F_MRG_RXBUF);
}

bool net_frame_has_room(const struct virtio_device *device, const struct rx_pool *pool,
			uint32_t bytes)
{
	if (pool->n_ready == 0)
		return false;
	return !merges(device) || pool->ready_bytes >= bytes ||
	       pool->n_ready >= device->queues[NET_RX].size / 2u ||
	       pool->n_ready >= NET_FRAME_BUFFERS;
}

static void add_buffer(struct net_frame *frame, struct rx_buffer *buffer)
{
	iov_append(&frame->data, &buffer->parts, 0, buffer->bytes);
	frame->bytes += buffer->bytes;
	frame->buffers[frame->n_buffers++] = buffer;
}

void net_frame_take(struct net_frame *frame, const struct virtio_device *device,
		    struct rx_pool *pool, uint32_t bytes)
{
	unsigned most = merges(device) ? NET_FRAME_BUFFERS : 1;

	frame->n_buffers = 0;
	frame->bytes = 0;
	frame->data = (struct iov){ frame->parts, 0 };
	while (pool->ready != NULL && frame->n_buffers < most && frame->bytes < bytes &&
	       frame->data.n + pool->ready->parts.n <= NET_FRAME_PARTS)
		add_buffer(frame, rx_pool_take(pool));
}

static void untake_from(struct net_frame *frame, struct rx_pool *pool, unsigned first)
{
	for (unsigned i = frame->n_buffers; i > first; i--)
		rx_pool_untake(pool, frame->buffers[i - 1]);
}

void net_frame_put_back(struct net_frame *frame, struct rx_pool *pool)
{
	untake_from(frame, pool, 0);
}

void net_frame_deliver(struct net_frame *frame, struct virtio_device *device, struct rx_pool *pool,
		       struct virtio_net_hdr_v1 *header, uint32_t length)
{
	struct virtqueue *queue = &device->queues[NET_RX];
	uint16_t used = 0;

	for (uint32_t left = length; left > 0; used++) {
		uint32_t bytes = frame->buffers[used]->bytes;
		left -= left < bytes ? left : bytes;
	}
	header->num_buffers = used;
	iov_write(&frame->data, header, sizeof(*header));
	for (uint16_t i = 0; i < used; i++) {
		struct rx_buffer *buffer = frame->buffers[i];
		uint32_t written = length < buffer->bytes ? length : buffer->bytes;
		length -= written;
		virtqueue_put(queue, i, buffer->head, written);
		rx_pool_put(pool, buffer);
	}
	virtqueue_publish(queue, used);
	untake_from(frame, pool, used);
	virtio_device_signal_later(device);
}
