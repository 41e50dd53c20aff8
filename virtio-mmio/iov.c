/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/iov.h"

#include "mem/guest_memory.h"

void iov_skip(struct iov *iov, uint64_t bytes)
{
	while (iov->n > 0 && bytes >= iov->parts->iov_len) {
		bytes -= iov->parts->iov_len;
		iov->parts++;
		iov->n--;
	}
	if (iov->n > 0) {
		iov->parts->iov_base = (uint8_t *)iov->parts->iov_base + bytes;
		iov->parts->iov_len -= bytes;
	}
}

bool iov_trim(struct iov *iov, uint64_t bytes)
{
	unsigned n = 0;

	while (n < iov->n && bytes >= iov->parts[n].iov_len)
		bytes -= iov->parts[n++].iov_len;
	if (bytes > 0) {
		if (n == iov->n)
			return false;
		iov->parts[n++].iov_len = bytes;
	}
	iov->n = n;
	return true;
}

static size_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

size_t iov_read(const struct iov *iov, void *to, size_t bytes)
{
	size_t done = 0;

	for (unsigned i = 0; i < iov->n && done < bytes; i++) {
		size_t n = smaller(iov->parts[i].iov_len, bytes - done);
		guest_memory_copy((uint8_t *)to + done, iov->parts[i].iov_base, n);
		done += n;
	}
	return done;
}

size_t iov_write_at(const struct iov *iov, uint64_t skip, const void *from, size_t bytes)
{
	size_t done = 0;

	for (unsigned i = 0; i < iov->n && done < bytes; i++) {
		const struct iovec *part = &iov->parts[i];
		if (skip >= part->iov_len) {
			skip -= part->iov_len;
			continue;
		}
		size_t n = smaller(part->iov_len - skip, bytes - done);
		guest_memory_copy((uint8_t *)part->iov_base + skip, (const uint8_t *)from + done,
				  n);
		done += n;
		skip = 0;
	}
	return done;
}

size_t iov_write(const struct iov *iov, const void *from, size_t bytes)
{
	return iov_write_at(iov, 0, from, bytes);
}

bool iov_take(struct iov *iov, void *to, size_t bytes)
{
	if (iov_read(iov, to, bytes) < bytes)
		return false;
	iov_skip(iov, bytes);
	return true;
}

void iov_append(struct iov *to, const struct iov *from, uint64_t skip, uint64_t bytes)
{
	for (const struct iovec *part = from->parts; part < from->parts + from->n && bytes > 0;
	     part++) {
		if (skip >= part->iov_len) {
			skip -= part->iov_len;
			continue;
		}
		size_t n = smaller(part->iov_len - skip, bytes);
		to->parts[to->n++] = (struct iovec){ (uint8_t *)part->iov_base + skip, n };
		bytes -= n;
		skip = 0;
	}
}
