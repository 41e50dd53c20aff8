/* SPDX-License-Identifier: MIT */
/* A driver for a virtio-mmio device in this process: registers, one split queue, no KVM. */
#ifndef TESTS_UNIT_VIRTIO_DRIVER_H
#define TESTS_UNIT_VIRTIO_DRIVER_H

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "tests/unit/check.h"
#include "virtio-mmio/transport.h"

#define DRIVER_DESC_GPA     0x10000u
#define DRIVER_AVAIL_GPA    0x20000u
#define DRIVER_USED_GPA     0x30000u
#define DRIVER_INDIRECT_GPA 0x40000u /* 4 KiB for each head */
#define DRIVER_BUFFER_GPA   0x100000u

#define STATUS_DRIVER      (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define STATUS_FEATURES_OK (STATUS_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define STATUS_DRIVER_OK   (STATUS_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)

#define FEATURE(bit) ((uint64_t)1 << (bit))

/* The driver's side of a queue. */
struct driver_queue {
	const struct guest_memory *memory;
	uint16_t size;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t next_used; /* the first used entry that the driver has not taken */
};

static inline void driver_queue_map(struct driver_queue *queue, const struct guest_memory *memory,
				    uint16_t size)
{
	*queue = (struct driver_queue){
		.memory = memory,
		.size = size,
		.desc = guest_memory_at(memory, DRIVER_DESC_GPA, size * 16u),
		.avail = guest_memory_at(memory, DRIVER_AVAIL_GPA, 6 + size * 2u),
		.used = guest_memory_at(memory, DRIVER_USED_GPA, 6 + size * 8u),
	};
	CHECK(queue->desc != NULL && queue->avail != NULL && queue->used != NULL);
	memset(queue->desc, 0, size * 16u);
	memset(queue->avail, 0, 6 + size * 2u);
	memset(queue->used, 0, 6 + size * 8u);
}

static inline void driver_set_desc(struct vring_desc *desc, uint64_t gpa, uint32_t bytes,
				   uint16_t flags, uint16_t next)
{
	*desc = (struct vring_desc){ gpa, bytes, flags, next };
}

/* Offers the chain that starts at `head`. */
static inline void driver_offer(struct driver_queue *queue, uint16_t head)
{
	uint16_t index = __atomic_load_n(&queue->avail->idx, __ATOMIC_RELAXED);

	queue->avail->ring[index % queue->size] = head;
	__atomic_store_n(&queue->avail->idx, (uint16_t)(index + 1), __ATOMIC_SEQ_CST);
}

static inline uint32_t driver_access(struct virtio_transport *transport, uint64_t offset,
				     unsigned length, bool is_write, uint64_t value)
{
	uint8_t data[8] = { 0 };
	struct bus_access access = { offset, length, is_write, data };

	if (is_write)
		memcpy(data, &value, sizeof(data));
	virtio_transport_access(transport, &access);
	memcpy(&value, data, sizeof(data));
	return (uint32_t)value;
}

static inline uint32_t driver_read(struct virtio_transport *transport, uint64_t offset)
{
	return driver_access(transport, offset, 4, false, 0);
}

static inline void driver_write(struct virtio_transport *transport, uint64_t offset, uint32_t value)
{
	driver_access(transport, offset, 4, true, value);
}

/* Status bits up to FEATURES_OK, with these features. */
static inline void driver_negotiate(struct virtio_transport *transport, uint64_t features)
{
	driver_write(transport, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	driver_write(transport, VIRTIO_MMIO_STATUS, STATUS_DRIVER);
	for (uint32_t half = 0; half < 2; half++) {
		driver_write(transport, VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
		driver_write(transport, VIRTIO_MMIO_DRIVER_FEATURES,
			     (uint32_t)(features >> (32 * half)));
	}
	driver_write(transport, VIRTIO_MMIO_STATUS, STATUS_FEATURES_OK);
}

static inline void driver_set_queue_address(struct virtio_transport *transport, uint64_t low_offset,
					    uint64_t gpa)
{
	driver_write(transport, low_offset, (uint32_t)gpa);
	driver_write(transport, low_offset + 4, (uint32_t)(gpa >> 32));
}

static inline void driver_make_queue(struct virtio_transport *transport, uint32_t index,
				     uint32_t size)
{
	driver_write(transport, VIRTIO_MMIO_QUEUE_SEL, index);
	driver_write(transport, VIRTIO_MMIO_QUEUE_NUM, size);
	driver_set_queue_address(transport, VIRTIO_MMIO_QUEUE_DESC_LOW, DRIVER_DESC_GPA);
	driver_set_queue_address(transport, VIRTIO_MMIO_QUEUE_AVAIL_LOW, DRIVER_AVAIL_GPA);
	driver_set_queue_address(transport, VIRTIO_MMIO_QUEUE_USED_LOW, DRIVER_USED_GPA);
	driver_write(transport, VIRTIO_MMIO_QUEUE_READY, 1);
}

/* From reset to DRIVER_OK with one queue. */
static inline void driver_start(struct virtio_transport *transport, uint64_t features,
				uint32_t queue_size)
{
	driver_negotiate(transport, features | FEATURE(VIRTIO_F_VERSION_1));
	driver_make_queue(transport, 0, queue_size);
	driver_write(transport, VIRTIO_MMIO_STATUS, STATUS_DRIVER_OK);
}

#endif
