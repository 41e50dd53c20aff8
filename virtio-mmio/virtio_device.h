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

#include "irq/irq_line.h"
#include "mem/guest_memory.h"
#include "virtio-mmio/queue.h"

#define VIRTIO_MAX_QUEUES 3

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
	 * may still write to guest memory; as long as device->in_flight is not 0 the reset is not
	 * complete. */
	void (*reset)(struct virtio_device *device);
	/* A kick while the driver is not DRIVER_OK: reset() asks for one with
	 * virtio_device_kick_again() if there is something to do on the ring's thread. */
	void (*kicked_after_reset)(struct virtio_device *device);
};

struct virtio_device {
	const struct virtio_device_type *type;
	uint64_t offered_features; /* the device's own; the transport adds its share */
	const uint8_t *config;     /* device configuration space, little-endian */
	uint32_t config_bytes;
	uint32_t config_generation; /* counts changes of *config */
	const struct guest_memory *memory;

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
	_Atomic uint32_t interrupt_status;
	struct irq_line irq;
	int kick_fds
		[VIRTIO_MAX_QUEUES]; /* the doorbells' eventfds, for virtio_device_kick_again() */
};

void virtio_device_init(struct virtio_device *device, const struct virtio_device_type *type,
			const struct guest_memory *memory);

void virtio_device_lock(struct virtio_device *device);
void virtio_device_unlock(struct virtio_device *device);

/* Whether queues may be worked on: DRIVER_OK, not broken, and no operation of an earlier life is in
 * flight. */
bool virtio_device_is_live(const struct virtio_device *device);

/* The vCPUs have stopped: nothing more is taken from any queue, whatever is written to it meanwhile (a device's own
 * reads may do so). What was taken is finished. */
void virtio_device_close_queues(struct virtio_device *device);

/* The driver broke a rule: DEVICE_NEEDS_RESET (virtio 1.2, 2.1.2), and nothing more until a reset. */
void virtio_device_break(struct virtio_device *device);

/* Interrupts the driver for what was pushed to `queue`, if it wants that. */
void virtio_device_signal(struct virtio_device *device, struct virtqueue *queue);

/* *config has changed (virtio 1.2, 2.5): tells the driver. */
void virtio_device_config_changed(struct virtio_device *device);

/* Has queue_notify called again after other work of the ring: a device that has done its share of a
 * queue that does not become empty. */
void virtio_device_kick_again(struct virtio_device *device, unsigned queue);

/* After a reset, on a vCPU's thread: waits until it is complete, at most reset_wait_ms. The lock is released
 * meanwhile. */
void virtio_device_wait_drained(struct virtio_device *device);

/* To be called when in_flight has become 0: completes a reset that waited for that, and runs
 * queue_notify for every ready queue, because kicks were put off meanwhile. */
void virtio_device_drained(struct virtio_device *device);

#endif
