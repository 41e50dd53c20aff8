#include "virtio-mmio/virtio_device.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/event.h"

void virtio_device_init(struct virtio_device *device, const struct virtio_device_type *type,
			const struct guest_memory *memory)
{
	memset(device, 0, sizeof(*device));
	device->type = type;
	device->memory = memory;
	pthread_mutex_init(&device->lock, NULL);
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&device->drained, &attributes);
}

void virtio_device_lock(struct virtio_device *device)
{
	pthread_mutex_lock(&device->lock);
}

void virtio_device_unlock(struct virtio_device *device)
{
	pthread_mutex_unlock(&device->lock);
}

bool virtio_device_is_live(const struct virtio_device *device)
{
	return (device->status & VIRTIO_CONFIG_S_DRIVER_OK) &&
	       !(device->status & VIRTIO_CONFIG_S_NEEDS_RESET) && !device->resetting;
}

void virtio_device_close_queues(struct virtio_device *device)
{
	virtio_device_lock(device);
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		virtqueue_close(&device->queues[i]);
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

void virtio_device_signal(struct virtio_device *device, struct virtqueue *queue)
{
	if (virtqueue_wants_interrupt(queue))
		raise_interrupt(device, VIRTIO_MMIO_INT_VRING);
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
