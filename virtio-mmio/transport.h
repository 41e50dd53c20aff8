/* SPDX-License-Identifier: MIT */
/* virtio over MMIO, version 2 (virtio 1.2, 4.2): the register windows of one device. */
#ifndef VIRTIO_MMIO_TRANSPORT_H
#define VIRTIO_MMIO_TRANSPORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/ring.h"
#include "io/bus.h"
#include "io/doorbell.h"
#include "virtio-mmio/virtio_device.h"

/*
 * A kernel that knows both ACPI and virtio_mmio.device= words finds each device twice: so a device may have two windows.
 * The first whose DeviceID is read has the device, until a driver that has begun there resets it. Meanwhile the other's
 * DeviceID is 0, a placeholder that drivers ignore (virtio 1.2, 4.2.2).
 */
enum virtio_window {
	VIRTIO_WINDOW_NONE,
	VIRTIO_WINDOW_WORDS,
	VIRTIO_WINDOW_ACPI,
	VIRTIO_WINDOWS,
};

struct virtio_transport {
	struct virtio_device *device;
	enum virtio_window claimed_by;
	uint64_t gpas[VIRTIO_WINDOWS]; /* 0: there is no such window */
	atomic_uint connected
		[VIRTIO_WINDOWS]; /* a bit for each queue whose kicks there are its doorbell's */
	uint32_t device_features_sel, driver_features_sel, queue_sel;
	struct doorbell doorbells[VIRTIO_MAX_QUEUES];
};

/* Prepares the registers of `device` alone; no bus, interrupt or doorbell. */
void virtio_transport_init(struct virtio_transport *transport, struct virtio_device *device);

/* Puts the window on the bus at gpa and the interrupt on gsi, and makes a doorbell for each queue, which is connected by
 * the first kick. *vm_fd is read when the device is used. Before ring_start(). Does not return on failure (exit 122). */
void virtio_transport_attach(struct virtio_transport *transport, const int *vm_fd, struct bus *mmio,
			     struct ring *ring, uint64_t gpa, uint32_t gsi);

/* A second window on the bus, at gpa. After virtio_transport_attach(). */
void virtio_transport_attach_acpi(struct virtio_transport *transport, struct bus *mmio,
				  uint64_t gpa);

/* What the device offers, and whether a driver may accept these of it. */
uint64_t virtio_transport_features(const struct virtio_device *device);
bool virtio_transport_accepts(const struct virtio_device *device, uint64_t features);

/* Starts listening to the doorbells: after ring_start(). */
void virtio_transport_start(struct virtio_transport *transport);

void virtio_transport_detach(struct virtio_transport *transport);

/* Handlers of the windows, for the bus and for tests. */
void virtio_transport_access(void *transport, const struct bus_access *access);
void virtio_transport_access_acpi(void *transport, const struct bus_access *access);

#endif
