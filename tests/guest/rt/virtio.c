/* SPDX-License-Identifier: MIT */
#include "rt/virtio.h"

#include "rt/rt.h"

#define MAGIC        0x74726976u
#define NO_NOTIFY    1u
#define NO_INTERRUPT 1u

static void full_barrier(void)
{
	__asm__ volatile("lock orl $0, (%%rsp)" ::: "memory", "cc");
}

uint32_t virtio_read(const struct virtio *device, uint32_t reg)
{
	return mmio_read32(device->base + reg);
}

void virtio_write(const struct virtio *device, uint32_t reg, uint32_t value)
{
	mmio_write32(device->base + reg, value);
}

uint64_t virtio_offered(const struct virtio *device)
{
	uint64_t features;

	virtio_write(device, REG_DEVICE_FEATURES_SEL, 0);
	features = virtio_read(device, REG_DEVICE_FEATURES);
	virtio_write(device, REG_DEVICE_FEATURES_SEL, 1);
	return features | (uint64_t)virtio_read(device, REG_DEVICE_FEATURES) << 32;
}

bool virtio_reset(const struct virtio *device)
{
	uint64_t start = read_tsc();

	virtio_write(device, REG_STATUS, 0);
	while (virtio_read(device, REG_STATUS) != 0)
		if (read_tsc() - start > VIRTIO_WAIT_TSC)
			return false;
	return true;
}

bool virtio_negotiate(struct virtio *device, uint64_t features)
{
	uint32_t status = STATUS_ACKNOWLEDGE;

	device->features = features | FEATURE_VERSION_1;
	virtio_write(device, REG_STATUS, status);
	virtio_write(device, REG_STATUS, status |= STATUS_DRIVER);
	virtio_write(device, REG_DRIVER_FEATURES_SEL, 0);
	virtio_write(device, REG_DRIVER_FEATURES, (uint32_t)device->features);
	virtio_write(device, REG_DRIVER_FEATURES_SEL, 1);
	virtio_write(device, REG_DRIVER_FEATURES, (uint32_t)(device->features >> 32));
	virtio_write(device, REG_STATUS, status |= STATUS_FEATURES_OK);
	return virtio_read(device, REG_STATUS) == status;
}

static void write_address(const struct virtio *device, uint32_t reg, const volatile void *address)
{
	virtio_write(device, reg, (uint32_t)(uintptr_t)address);
	virtio_write(device, reg + 4, (uint32_t)((uintptr_t)address >> 32));
}

void virtio_make_queue(const struct virtio *device, struct virtio_queue *queue, uint32_t number)
{
	queue->number = number;
	queue->seen_used = queue->kicked = 0;
	queue->avail.index = queue->used.index = 0;
	queue->avail.flags = NO_INTERRUPT;
	queue->used.flags = 0;
	queue->avail.used_event = queue->used.avail_event = 0;
	virtio_write(device, REG_QUEUE_SEL, number);
	virtio_write(device, REG_QUEUE_NUM, VIRTIO_QUEUE_SIZE);
	write_address(device, REG_QUEUE_DESC, queue->desc);
	write_address(device, REG_QUEUE_AVAIL, &queue->avail);
	write_address(device, REG_QUEUE_USED, &queue->used);
	virtio_write(device, REG_QUEUE_READY, 1);
}

void virtio_driver_ok(const struct virtio *device)
{
	virtio_write(device, REG_STATUS,
		     STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
}

bool virtio_start(struct virtio *device, unsigned index, uint32_t device_id, uint64_t features,
		  struct virtio_queue *queues, uint32_t n)
{
	device->base = VIRTIO_WINDOW(index);
	if (virtio_read(device, REG_MAGIC) != MAGIC || virtio_read(device, REG_VERSION) != 2 ||
	    virtio_read(device, REG_DEVICE_ID) != device_id || !virtio_reset(device))
		return false;
	if ((virtio_offered(device) & features) != features || !virtio_negotiate(device, features))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		virtio_write(device, REG_QUEUE_SEL, i);
		if (virtio_read(device, REG_QUEUE_NUM_MAX) < VIRTIO_QUEUE_SIZE ||
		    virtio_read(device, REG_QUEUE_READY))
			return false;
		virtio_make_queue(device, &queues[i], i);
		if (virtio_read(device, REG_QUEUE_READY) != 1)
			return false;
	}
	virtio_driver_ok(device);
	return (virtio_read(device, REG_STATUS) & (STATUS_DRIVER_OK | STATUS_NEEDS_RESET)) ==
	       STATUS_DRIVER_OK;
}

void virtio_offer(struct virtio_queue *queue, uint16_t head)
{
	uint16_t index = queue->avail.index;

	queue->avail.ring[index % VIRTIO_QUEUE_SIZE] = head;
	compiler_barrier();
	queue->avail.index = (uint16_t)(index + 1);
}

void virtio_offer_one(struct virtio_queue *queue, uint16_t head, const void *data, uint32_t length,
		      uint16_t flags)
{
	queue->desc[head].gpa = (uintptr_t)data;
	queue->desc[head].length = length;
	queue->desc[head].flags = flags;
	virtio_offer(queue, head);
}

void virtio_kick(const struct virtio *device, struct virtio_queue *queue)
{
	uint16_t before = queue->kicked, now = queue->avail.index;

	queue->kicked = now;
	full_barrier();
	if (device->features & FEATURE_EVENT_IDX) {
		uint16_t event = queue->used.avail_event;
		if ((uint16_t)(now - event - 1) >= (uint16_t)(now - before))
			return;
	} else if (queue->used.flags & NO_NOTIFY) {
		return;
	}
	virtio_write(device, REG_QUEUE_NOTIFY, queue->number);
}

bool virtio_wait(struct virtio_queue *queue, unsigned count)
{
	uint16_t wanted = (uint16_t)(queue->seen_used + count);
	uint64_t start = read_tsc();

	while ((int16_t)(queue->used.index - wanted) < 0) {
		if (read_tsc() - start > VIRTIO_WAIT_TSC)
			return false;
		cpu_pause();
	}
	queue->seen_used = wanted;
	return true;
}

int virtio_take(struct virtio_queue *queue, uint32_t *length)
{
	uint16_t at = queue->seen_used % VIRTIO_QUEUE_SIZE;

	if (queue->used.index == queue->seen_used)
		return -1;
	compiler_barrier();
	queue->seen_used++;
	*length = queue->used.ring[at].length;
	return (int)queue->used.ring[at].id;
}

bool virtio_wait_needs_reset(const struct virtio *device)
{
	uint64_t start = read_tsc();

	while (!(virtio_read(device, REG_STATUS) & STATUS_NEEDS_RESET))
		if (read_tsc() - start > VIRTIO_WAIT_TSC)
			return false;
	return true;
}
