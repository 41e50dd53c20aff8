/* SPDX-License-Identifier: MIT */
/* A ring buffer for a stream of bytes. A byte's place follows from its position in the stream. */
#ifndef VIRTIO_MMIO_BYTE_RING_H
#define VIRTIO_MMIO_BYTE_RING_H

#include <stdint.h>
#include <sys/uio.h>

#include "virtio-mmio/iov.h"

#define BYTE_RING_BYTES 131072u

struct byte_ring {
	uint8_t *bytes;
	struct iovec parts[2]; /* of an operation on the ring */
};

/* Copies the data, which has room from `position` on. */
void byte_ring_keep(struct byte_ring *ring, uint32_t position, struct iov *data);

/* Where the bytes from position `from` to before `to` lie, of which there are some. Returns how many parts. */
unsigned byte_ring_span(const struct byte_ring *ring, uint32_t from, uint32_t to,
			struct iovec parts[2]);

#endif
