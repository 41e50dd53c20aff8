/* SPDX-License-Identifier: MIT */
/* virtio over MMIO, version 2 (virtio 1.2, 4.2): the register windows of one device. */
#ifndef VIRTIO_MMIO_TRANSPORT_H
#define VIRTIO_MMIO_TRANSPORT_H

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
};

struct virtio_transport {
	struct virtio_device *device;
	enum virtio_window claimed_by;
	uint64_t acpi_gpa;
	bool has_acpi_doorbells;
	uint32_t device_features_sel, driver_features_sel, queue_sel;
	struct doorbell doorbells[VIRTIO_MAX_QUEUES];
};

/* Prepares the registers of `device` alone; no bus, interrupt or doorbell. */
void virtio_transport_init(struct virtio_transport *transport, struct virtio_device *device);

/* Puts the window on the bus at gpa, the interrupt on gsi, and a doorbell on each queue. Before
 * ring_start(). Does not return on failure (exit 122). */
void virtio_transport_attach(struct virtio_transport *transport, int vm_fd, struct bus *mmio,
			     struct ring *ring, uint64_t gpa, uint32_t gsi);

/* A second window on the bus, at acpi_gpa. After virtio_transport_attach(). Its doorbells are opened when a driver is
 * first ready there: most machines would pay for them in vain. */
void virtio_transport_attach_acpi(struct virtio_transport *transport, struct bus *mmio,
				  uint64_t acpi_gpa);

/* Once, for the first driver that is ready there. Until then, and where the host refuses, kicks come as exits. */
void virtio_transport_open_acpi_doorbells(struct virtio_transport *transport);

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
