/* SPDX-License-Identifier: MIT */
/* A ring buffer for data that the socket has not taken. A byte's place follows from its position in the stream. */
#ifndef VIRTIO_MMIO_VSOCK_BUFFER_H
#define VIRTIO_MMIO_VSOCK_BUFFER_H

#include <stdint.h>
#include <sys/uio.h>

#include "virtio-mmio/iov.h"

/* The guest's credit, and so the most that is kept of a stream. */
#define VSOCK_BUFFER_BYTES 131072u

struct vsock_buffer {
	uint8_t *bytes;
	struct iovec parts[2]; /* found by vsock_buffer_span() */
};

/* Address space for n buffers, without memory until they are used. Does not return on failure (exit 122). */
uint8_t *vsock_buffers_open(unsigned n);

/* Copies the data, which has room from `position` on. */
void vsock_buffer_keep(struct vsock_buffer *buffer, uint32_t position, struct iov *data);

/* The kept bytes from position `from` to before `to`, of which there are some, in parts[]. Returns how many parts. */
unsigned vsock_buffer_span(struct vsock_buffer *buffer, uint32_t from, uint32_t to);

/* Gives the memory back. */
void vsock_buffer_free(struct vsock_buffer *buffer);

#endif
