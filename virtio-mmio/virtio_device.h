/* SPDX-License-Identifier: MIT */
/*
 * The contract between the transport and a device.
 *
 * A device type is one const struct of facts and callbacks. The transport owns the registers and the
 * queues' set-up; devices own what goes through the queues. All callbacks but `activated` run with
 * device->lock held, and call nothing that can wait: the event loop waits for the lock. A device works
 * on its queues only inside its callbacks or, in a completion on the ring's thread, between
 * virtio_device_lock() and virtio_device_unlock().
 */
#ifndef VIRTIO_MMIO_VIRTIO_DEVICE_H
#define VIRTIO_MMIO_VIRTIO_DEVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_config.h>

#include "host/counters.h"
#include "host/ring.h"
#include "irq/irq_line.h"
#include "mem/guest_memory.h"
#include "virtio-mmio/queue.h"

#define VIRTIO_MAX_QUEUES 3

#define VIRTIO_FEATURE(bit) ((uint64_t)1 << (bit))

struct virtio_device;

struct virtio_device_type {
	const char *name;
	uint32_t device_id; /* virtio 1.2, 5 */
	unsigned n_queues;
	/* The driver has kicked `queue`, which is ready, and the driver is DRIVER_OK. */
	void (*queue_notify)(struct virtio_device *device, unsigned queue);
	/* The driver has set DRIVER_OK; on a vCPU's thread. */
	void (*activate)(struct virtio_device *device);
	/* After that, on the same thread, without the lock: what may wait. The device may have been reset
	 * again meanwhile, and other vCPUs may be in here. */
	void (*activated)(struct virtio_device *device);
	/* On a vCPU's thread: the driver has reset the device: forget its requests. Those in flight
	 * may still write to guest memory; the reset is complete when device->in_flight is 0. */
	void (*reset)(struct virtio_device *device);
	/* A kick while the driver is not DRIVER_OK. reset() asks for one with
	 * virtio_device_kick_again() if the ring's thread has something to do. */
	void (*kicked_after_reset)(struct virtio_device *device);
};

struct virtio_device {
	const struct virtio_device_type *type;
	uint64_t offered_features; /* the device's own; the transport adds its share */
	const uint8_t *config;     /* device configuration space, little-endian */
	uint32_t config_bytes;
	uint32_t config_generation; /* counts changes of *config */
	const struct guest_memory *memory;
	struct ring *ring;
	struct ring_task signal_task;

	pthread_mutex_t lock;
	struct virtqueue queues[VIRTIO_MAX_QUEUES];
	uint64_t features;   /* what the driver has accepted */
	uint32_t status;     /* VIRTIO_CONFIG_S_ bits */
	uint32_t generation; /* counts resets: a completion of an earlier life is dropped */
	unsigned in_flight;  /* operations of any life that may touch guest memory */
	bool resetting;      /* reset, but in_flight has not yet become 0 */
	pthread_cond_t drained;
	unsigned
		reset_wait_ms; /* how long a reset waits for that; 0 where one thread does everything */
	struct device_counters count;
	_Atomic uint32_t interrupt_status;
	struct irq_line irq;
	int kick_fds
		[VIRTIO_MAX_QUEUES]; /* the doorbells' eventfds, for virtio_device_kick_again() */
};

/* A device's turn at a queue, at most a queue's worth of chains: a driver that refills as fast as it is served must not
 * keep the ring's thread. */
struct virtio_turn {
	struct virtio_device *device;
	unsigned queue, share;
};

void virtio_device_init(struct virtio_device *device, const struct virtio_device_type *type,
			const struct guest_memory *memory, struct ring *ring);

static inline void virtio_device_lock(struct virtio_device *device)
{
	pthread_mutex_lock(&device->lock);
}

static inline void virtio_device_unlock(struct virtio_device *device)
{
	pthread_mutex_unlock(&device->lock);
}

/* Whether the driver has accepted it. */
static inline bool virtio_device_has_feature(const struct virtio_device *device, unsigned bit)
{
	return device->features >> bit & 1;
}

/* Whether queues may be worked on: DRIVER_OK, not broken, and no operation of an earlier life is in
 * flight. */
static inline bool virtio_device_is_live(const struct virtio_device *device)
{
	return (device->status & VIRTIO_CONFIG_S_DRIVER_OK) &&
	       !(device->status & VIRTIO_CONFIG_S_NEEDS_RESET) && !device->resetting;
}

/* Whether an operation that began in `generation` is one that the driver still waits for. */
static inline bool virtio_device_awaits(const struct virtio_device *device, uint32_t generation)
{
	return generation == device->generation && virtio_device_is_live(device);
}

/* Begins a turn at `queue`, which is ready. A turn that its device ends, because it has no room for another chain, is
 * begun again when there is some: until then the driver spares its kicks. */
struct virtio_turn virtio_turn_begin(struct virtio_device *device, unsigned queue);

/* Takes the next chain. False: the turn is over. The queue is empty and the driver's next kick goes on, or the share is
 * used up and queue_notify is called again after other work of the ring, or the driver broke a rule and the device is
 * broken. */
bool virtio_turn_take(struct virtio_turn *turn, struct virtqueue_chain *chain);

/* The vCPUs have stopped: no more chains are taken, whatever a device's own reads write to the queues meanwhile. Those
 * that were taken are finished. Until virtio_device_go_on(), where the vCPUs go on, too. */
void virtio_device_stop_queues(struct virtio_device *device);
void virtio_device_go_on(struct virtio_device *device);

/* The driver broke a rule: DEVICE_NEEDS_RESET (virtio 1.2, 2.1.2), and nothing more until a reset. */
void virtio_device_break(struct virtio_device *device);

/* Interrupts the driver for what was pushed to its queues, if it wants that. */
void virtio_device_signal(struct virtio_device *device);

/* The same once after the batch. On the ring's thread. */
void virtio_device_signal_later(struct virtio_device *device);

/* *config has changed (virtio 1.2, 2.5): tells the driver. */
void virtio_device_config_changed(struct virtio_device *device);

/* Has queue_notify called again after other work of the ring. Any thread. */
void virtio_device_kick_again(struct virtio_device *device, unsigned queue);

/* After a reset, on a vCPU's thread: waits until it is complete, at most reset_wait_ms. The lock is released
 * meanwhile. */
void virtio_device_wait_drained(struct virtio_device *device);

/* Called when in_flight has become 0: completes a reset that waited for that, and runs queue_notify for every ready
 * queue, because kicks were put off meanwhile. */
void virtio_device_drained(struct virtio_device *device);

#endif
