/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/queue_registers.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>

static void write_queue_ready(struct virtio_device *device, struct virtqueue *queue, uint32_t value)
{
	if (!(value & 1)) {
		queue->ready = false;
	} else if (!queue->ready) {
		bool event_idx = virtio_device_has_feature(device, VIRTIO_RING_F_EVENT_IDX);
		bool indirect = virtio_device_has_feature(device, VIRTIO_RING_F_INDIRECT_DESC);
		if (!virtqueue_make_ready(queue, device->memory, event_idx, indirect))
			virtio_device_break(device);
	}
}

static void set_half(uint64_t *address, bool high, uint32_t value)
{
	unsigned shift = high ? 32 : 0;

	*address &= ~((uint64_t)0xffffffff << shift);
	*address |= (uint64_t)value << shift;
}

void virtio_queue_write_register(struct virtio_device *device, struct virtqueue *queue,
				 uint64_t offset, uint32_t value)
{
	if (!(device->status & VIRTIO_CONFIG_S_FEATURES_OK) ||
	    (device->status & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	if (offset == VIRTIO_MMIO_QUEUE_READY) {
		write_queue_ready(device, queue, value);
		return;
	}
	if (queue->ready)
		return;
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM:
		queue->size = value <= VIRTQUEUE_MAX_SIZE ? (uint16_t)value : 0;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_half(&queue->desc_gpa, offset == VIRTIO_MMIO_QUEUE_DESC_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_half(&queue->avail_gpa, offset == VIRTIO_MMIO_QUEUE_AVAIL_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_half(&queue->used_gpa, offset == VIRTIO_MMIO_QUEUE_USED_HIGH, value);
		break;
	default:
		break;
	}
}
