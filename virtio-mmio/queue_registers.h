/* SPDX-License-Identifier: MIT */
/* The registers that tell where a queue lies (virtio 1.2, 4.2.2). */
#ifndef VIRTIO_MMIO_QUEUE_REGISTERS_H
#define VIRTIO_MMIO_QUEUE_REGISTERS_H

#include <stdint.h>

#include "virtio-mmio/virtio_device.h"

/* With the device's lock: the driver writes to a register of the selected queue. Ignored but between FEATURES_OK and DRIVER_OK, while
 * the queue is not ready; one that becomes ready with unusable values breaks the device. */
void virtio_queue_write_register(struct virtio_device *device, struct virtqueue *queue,
				 uint64_t offset, uint32_t value);

#endif
