/* virtio over MMIO, version 2 (virtio 1.2, 4.2): the register window of one device. */
#ifndef VIRTIO_MMIO_TRANSPORT_H
#define VIRTIO_MMIO_TRANSPORT_H

#include <stdint.h>

#include "host/ring.h"
#include "io/bus.h"
#include "io/doorbell.h"
#include "virtio-mmio/virtio_device.h"

struct virtio_transport {
	struct virtio_device *device;
	uint32_t device_features_sel, driver_features_sel, queue_sel;
	struct doorbell doorbells[VIRTIO_MAX_QUEUES];
};

/* Prepares the registers of `device` alone; no bus, interrupt or doorbell. */
void virtio_transport_init(struct virtio_transport *transport, struct virtio_device *device);

/* Puts the window on the bus at gpa, the interrupt on gsi, and a doorbell on each queue. Before
 * ring_start(). Does not return on failure (exit 3). */
void virtio_transport_attach(struct virtio_transport *transport, int vm_fd, struct bus *mmio,
			     struct ring *ring, uint64_t gpa, uint32_t gsi);

/* Starts listening to the doorbells: after ring_start(). */
void virtio_transport_start(struct virtio_transport *transport);

void virtio_transport_detach(struct virtio_transport *transport);

/* Handler of the window, for the bus and for tests. */
void virtio_transport_access(void *transport, const struct bus_access *access);

#endif
