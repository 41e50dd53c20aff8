/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/vsock/buffer.h"

#include <stddef.h>
#include <sys/mman.h>

#include "host/fail.h"

uint8_t *vsock_buffers_open(unsigned n)
{
	const size_t bytes = (size_t)n * BYTE_RING_BYTES;
	void *buffers = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (buffers == MAP_FAILED)
		fail_errno(EXIT_HOST_REFUSED, "cannot map the vsock buffers");
	/* A huge page would be 16 buffers for the first byte of one. No kernel support: none. */
	madvise(buffers, bytes, MADV_NOHUGEPAGE);
	return buffers;
}

void vsock_buffer_free(struct byte_ring *buffer)
{
	madvise(buffer->bytes, BYTE_RING_BYTES, MADV_DONTNEED);
}
