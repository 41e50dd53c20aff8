/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. The driver walks a ladder of status bits: ACKNOWLEDGE, DRIVER, FEATURES_OK,
 * DRIVER_OK (virtio 1.2, 3.1.1). Each register may be written only on the rungs where the ladder
 * calls for it: features before FEATURES_OK, queues between FEATURES_OK and DRIVER_OK and only while
 * they are not ready. Every other write is ignored, so nothing that is in use ever changes. A queue
 * made ready with unusable values breaks the device. Writing 0 to the status goes back to the foot
 * of the ladder. The write waits for the operations of the earlier life that are in flight, because
 * drivers do not all wait for the 0 to read back as they should (2.4.1); but not for a disk that
 * hangs: after reset_wait_ms the status reads as DEVICE_NEEDS_RESET until they are done, and a driver
 * that does not wait is served after that.
 */
#include "virtio-mmio/registers.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <string.h>

#define VENDOR_ID 0x564d4d76u /* "vMMV" */

#define TRANSPORT_FEATURES                                                                         \
	(VIRTIO_FEATURE(VIRTIO_F_VERSION_1) | VIRTIO_FEATURE(VIRTIO_RING_F_INDIRECT_DESC) |        \
	 VIRTIO_FEATURE(VIRTIO_RING_F_EVENT_IDX))

/* The status bits that a driver may set, and what each presupposes. */
static const struct {
	uint32_t bit, needs;
} status_ladder[] = {
	{ VIRTIO_CONFIG_S_ACKNOWLEDGE, 0 },
	{ VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_ACKNOWLEDGE },
	{ VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_DRIVER },
	{ VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK },
	{ VIRTIO_CONFIG_S_FAILED, 0 },
};

static uint64_t offered_features(const struct virtio_device *device)
{
	return device->offered_features | TRANSPORT_FEATURES;
}

/* The selected queue, or NULL if there is none of that number. */
static struct virtqueue *selected_queue(const struct virtio_registers *registers)
{
	struct virtio_device *device = registers->device;

	return registers->queue_sel < device->type->n_queues ? &device->queues[registers->queue_sel]
							     : NULL;
}

static void reset_device(struct virtio_registers *registers)
{
	struct virtio_device *device = registers->device;

	device->generation++;
	device->status = 0;
	device->features = 0;
	atomic_store(&device->interrupt_status, 0);
	memset(device->queues, 0, sizeof(device->queues));
	device->resetting = device->in_flight > 0;
	registers->device_features_sel = 0;
	registers->driver_features_sel = 0;
	registers->queue_sel = 0;
	if (device->type->reset != NULL)
		device->type->reset(device);
}

static bool features_acceptable(const struct virtio_device *device)
{
	return (device->features & ~offered_features(device)) == 0 &&
	       virtio_device_has_feature(device, VIRTIO_F_VERSION_1);
}

static void write_status(struct virtio_registers *registers, uint32_t value)
{
	struct virtio_device *device = registers->device;

	if (value == 0) {
		reset_device(registers);
		if (device->resetting && device->reset_wait_ms > 0)
			virtio_device_wait_drained(device);
		return;
	}
	for (size_t i = 0; i < sizeof(status_ladder) / sizeof(status_ladder[0]); i++) {
		uint32_t bit = status_ladder[i].bit, needs = status_ladder[i].needs;
		if (!(value & bit) || (device->status & bit) || (device->status & needs) != needs)
			continue;
		if (bit == VIRTIO_CONFIG_S_FEATURES_OK && !features_acceptable(device))
			continue; /* the driver reads back that it was refused */
		device->status |= bit;
		if (bit == VIRTIO_CONFIG_S_DRIVER_OK && device->type->activate != NULL)
			device->type->activate(device);
	}
}

static uint32_t read_status(const struct virtio_device *device)
{
	return device->status | (device->resetting ? VIRTIO_CONFIG_S_NEEDS_RESET : 0);
}

static void write_driver_features(struct virtio_registers *registers, uint32_t value)
{
	struct virtio_device *device = registers->device;
	unsigned shift = registers->driver_features_sel * 32;

	if (registers->driver_features_sel > 1 || !(device->status & VIRTIO_CONFIG_S_DRIVER) ||
	    (device->status & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	device->features &= ~((uint64_t)0xffffffff << shift);
	device->features |= (uint64_t)value << shift;
}

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

static void write_queue_register(struct virtio_registers *registers, uint64_t offset,
				 uint32_t value)
{
	struct virtio_device *device = registers->device;
	struct virtqueue *queue = selected_queue(registers);

	if (queue == NULL || !(device->status & VIRTIO_CONFIG_S_FEATURES_OK) ||
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

bool virtio_registers_write(struct virtio_registers *registers, uint64_t offset, uint32_t value)
{
	struct virtio_device *device = registers->device;
	uint32_t status = device->status;

	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		registers->device_features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		registers->driver_features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		write_driver_features(registers, value);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		registers->queue_sel = value;
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		/* A doorbell took it, unless this window has none yet. */
		if (value < device->type->n_queues)
			virtio_device_kick_again(device, value);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		atomic_fetch_and(&device->interrupt_status, ~value);
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(registers, value);
		break;
	default:
		write_queue_register(registers, offset, value);
		break;
	}
	return (device->status & ~status & VIRTIO_CONFIG_S_DRIVER_OK) != 0;
}

static uint32_t read_features(const struct virtio_registers *registers)
{
	uint64_t features = offered_features(registers->device);

	if (registers->device_features_sel > 1)
		return 0;
	return (uint32_t)(features >> (registers->device_features_sel * 32));
}

uint32_t virtio_registers_read(const struct virtio_registers *registers, uint64_t offset)
{
	const struct virtio_device *device = registers->device;
	const struct virtqueue *queue = selected_queue(registers);

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return VIRTIO_REGISTERS_MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VIRTIO_REGISTERS_VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return device->type->device_id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR_ID;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return read_features(registers);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return queue != NULL ? VIRTQUEUE_MAX_SIZE : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return queue != NULL && queue->ready;
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return atomic_load(&device->interrupt_status);
	case VIRTIO_MMIO_STATUS:
		return read_status(device);
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return UINT32_MAX; /* virtio 1.2, 4.2.2: no such region */
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return device->config_generation;
	default:
		return 0; /* write-only, or nothing */
	}
}
