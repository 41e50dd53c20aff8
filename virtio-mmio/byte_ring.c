/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/byte_ring.h"

void byte_ring_keep(struct byte_ring *ring, uint32_t position, struct iov *data)
{
	uint32_t start = position % BYTE_RING_BYTES;
	size_t n = iov_read(data, ring->bytes + start, BYTE_RING_BYTES - start);

	iov_skip(data, n);
	iov_read(data, ring->bytes, start);
}

unsigned byte_ring_span(const struct byte_ring *ring, uint32_t from, uint32_t to,
			struct iovec parts[2])
{
	uint32_t length = to - from, start = from % BYTE_RING_BYTES;
	uint32_t first = BYTE_RING_BYTES - start < length ? BYTE_RING_BYTES - start : length;

	parts[0] = (struct iovec){ ring->bytes + start, first };
	parts[1] = (struct iovec){ ring->bytes, length - first };
	return length > first ? 2 : 1;
}
