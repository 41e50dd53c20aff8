/* SPDX-License-Identifier: MIT */
/* The registers of one device, as its driver reads and writes them (virtio 1.2, 4.2.2). */
#ifndef VIRTIO_MMIO_REGISTERS_H
#define VIRTIO_MMIO_REGISTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio-mmio/virtio_device.h"

#define VIRTIO_REGISTERS_MAGIC   0x74726976u /* "virt" */
#define VIRTIO_REGISTERS_VERSION 2u

struct virtio_registers {
	struct virtio_device *device;
	uint32_t device_features_sel, driver_features_sel, queue_sel;
};

/* The register at `offset`, a multiple of 4 below the configuration space. With the device's lock, as the next. */
uint32_t virtio_registers_read(const struct virtio_registers *registers, uint64_t offset);

/* Writes it; what the driver may not write now is ignored. Returns whether the driver has got to DRIVER_OK by it. A reset
 * may wait, with the lock released, for operations in flight. */
bool virtio_registers_write(struct virtio_registers *registers, uint64_t offset, uint32_t value);

#endif
