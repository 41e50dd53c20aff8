/* SPDX-License-Identifier: MIT */
/* The buffers for data that the sockets have not taken. */
#ifndef VIRTIO_MMIO_VSOCK_BUFFER_H
#define VIRTIO_MMIO_VSOCK_BUFFER_H

#include <stdint.h>

#include "virtio-mmio/byte_ring.h"

/* The guest's credit, and so the most that is kept of a stream. */
#define VSOCK_BUFFER_BYTES BYTE_RING_BYTES

/* Address space for n buffers, without memory until they are used. Does not return on failure (exit 122). */
uint8_t *vsock_buffers_open(unsigned n);

/* Gives the memory back. */
void vsock_buffer_free(struct byte_ring *buffer);

#endif
