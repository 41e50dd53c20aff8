/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/vsock/buffer.h"

#include <stddef.h>
#include <sys/mman.h>

#include "host/fail.h"

uint8_t *vsock_buffers_open(unsigned n)
{
	const size_t bytes = (size_t)n * VSOCK_BUFFER_BYTES;
	void *buffers = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (buffers == MAP_FAILED)
		fail_errno(EXIT_HOST_REFUSED, "cannot map the vsock buffers");
	/* A huge page would be 16 buffers for the first byte of one. No kernel support: none. */
	madvise(buffers, bytes, MADV_NOHUGEPAGE);
	return buffers;
}

void vsock_buffer_keep(struct vsock_buffer *buffer, uint32_t position, struct iov *data)
{
	uint32_t start = position % VSOCK_BUFFER_BYTES;
	size_t n = iov_read(data, buffer->bytes + start, VSOCK_BUFFER_BYTES - start);

	iov_skip(data, n);
	iov_read(data, buffer->bytes, start);
}

unsigned vsock_buffer_span(struct vsock_buffer *buffer, uint32_t from, uint32_t to)
{
	uint32_t length = to - from, start = from % VSOCK_BUFFER_BYTES;
	uint32_t first = VSOCK_BUFFER_BYTES - start < length ? VSOCK_BUFFER_BYTES - start : length;

	buffer->parts[0] = (struct iovec){ buffer->bytes + start, first };
	buffer->parts[1] = (struct iovec){ buffer->bytes, length - first };
	return length > first ? 2 : 1;
}

void vsock_buffer_free(struct vsock_buffer *buffer)
{
	madvise(buffer->bytes, VSOCK_BUFFER_BYTES, MADV_DONTNEED);
}
