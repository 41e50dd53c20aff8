/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/virtio_device.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "host/clock.h"
#include "host/container_of.h"
#include "host/event.h"

static void signal_after_batch(struct ring_task *task)
{
	struct virtio_device *device = container_of(task, struct virtio_device, signal_task);

	virtio_device_lock(device);
	if (virtio_device_is_live(device))
		virtio_device_signal(device);
	virtio_device_unlock(device);
}

void virtio_device_init(struct virtio_device *device, const struct virtio_device_type *type,
			const struct guest_memory *memory, struct ring *ring)
{
	memset(device, 0, sizeof(*device));
	device->type = type;
	device->memory = memory;
	device->ring = ring;
	device->signal_task.run = signal_after_batch;
	pthread_mutex_init(&device->lock, NULL);
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&device->drained, &attributes);
}

void virtio_device_stop_queues(struct virtio_device *device)
{
	virtio_device_lock(device);
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		virtqueue_stop(&device->queues[i]);
	virtio_device_unlock(device);
}

void virtio_device_go_on(struct virtio_device *device)
{
	virtio_device_lock(device);
	for (unsigned i = 0; i < device->type->n_queues; i++) {
		virtqueue_go_on(&device->queues[i]);
		if (device->queues[i].ready)
			virtio_device_kick_again(device, i);
	}
	virtio_device_unlock(device);
}

static void raise_interrupt(struct virtio_device *device, uint32_t cause)
{
	atomic_fetch_or(&device->interrupt_status, cause);
	irq_line_raise(&device->irq);
}

void virtio_device_break(struct virtio_device *device)
{
	if (device->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	device->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	if (device->status & VIRTIO_CONFIG_S_DRIVER_OK)
		raise_interrupt(device, VIRTIO_MMIO_INT_CONFIG);
}

struct virtio_turn virtio_turn_begin(struct virtio_device *device, unsigned queue)
{
	virtqueue_disable_kicks(&device->queues[queue]);
	return (struct virtio_turn){ device, queue, device->queues[queue].size };
}

bool virtio_turn_take(struct virtio_turn *turn, struct virtqueue_chain *chain)
{
	struct virtqueue *queue = &turn->device->queues[turn->queue];

	while (turn->share > 0) {
		turn->share--;
		enum virtqueue_result result = virtqueue_pop(queue, chain);
		if (result == VIRTQUEUE_CHAIN)
			return true;
		if (result == VIRTQUEUE_BROKEN)
			virtio_device_break(turn->device);
		if (result == VIRTQUEUE_BROKEN || !virtqueue_enable_kicks(queue))
			return false;
	}
	virtio_device_kick_again(turn->device, turn->queue);
	return false;
}

void virtio_device_signal(struct virtio_device *device)
{
	bool wanted = false;

	for (unsigned i = 0; i < device->type->n_queues; i++)
		if (device->queues[i].ready)
			wanted |= virtqueue_wants_interrupt(&device->queues[i]);
	if (wanted)
		raise_interrupt(device, VIRTIO_MMIO_INT_VRING);
}

void virtio_device_signal_later(struct virtio_device *device)
{
	ring_after_batch(device->ring, &device->signal_task);
}

void virtio_device_config_changed(struct virtio_device *device)
{
	device->config_generation++;
	if (device->status & VIRTIO_CONFIG_S_DRIVER_OK)
		raise_interrupt(device, VIRTIO_MMIO_INT_CONFIG);
}

void virtio_device_kick_again(struct virtio_device *device, unsigned queue)
{
	event_signal(device->kick_fds[queue]);
}

void virtio_device_wait_drained(struct virtio_device *device)
{
	int64_t end_ms = clock_now_ms() + device->reset_wait_ms;
	struct timespec end = {
		.tv_sec = end_ms / 1000,
		.tv_nsec = end_ms % 1000 * 1000000,
	};
	uint32_t generation = device->generation;

	/* Another vCPU may reset it again: that one waits for itself. */
	while (device->resetting && device->generation == generation &&
	       pthread_cond_timedwait(&device->drained, &device->lock, &end) == 0)
		;
}

void virtio_device_drained(struct virtio_device *device)
{
	if (!device->resetting)
		return;
	device->resetting = false;
	pthread_cond_broadcast(&device->drained);
	for (unsigned i = 0; i < device->type->n_queues; i++)
		if (device->queues[i].ready && virtio_device_is_live(device))
			device->type->queue_notify(device, i);
}
