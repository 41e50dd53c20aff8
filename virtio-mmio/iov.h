/* SPDX-License-Identifier: MIT */
/*
 * A run of buffers in guest memory, as queue.h hands them out.
 *
 * The array belongs to the caller. skip, trim and take change its elements, so two runs that are cut must not
 * share any. The guest may write the buffers at any moment: what was read is to be checked in the copy.
 */
#ifndef VIRTIO_MMIO_IOV_H
#define VIRTIO_MMIO_IOV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct iov {
	struct iovec *parts;
	unsigned n;
};

/* The length of all parts together. */
static inline uint64_t iov_bytes(const struct iov *iov)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < iov->n; i++)
		bytes += iov->parts[i].iov_len;
	return bytes;
}

/* Drops the first `bytes`, or all if there are fewer. No empty part is left in front. */
void iov_skip(struct iov *iov, uint64_t bytes);

/* Keeps the first `bytes`. False: there are fewer, and nothing is changed. */
bool iov_trim(struct iov *iov, uint64_t bytes);

/* Copies at most `bytes` from or to the beginning, or to what follows the first `skip` bytes. Returns how many. */
size_t iov_read(const struct iov *iov, void *to, size_t bytes);
size_t iov_write(const struct iov *iov, const void *from, size_t bytes);
size_t iov_write_at(const struct iov *iov, uint64_t skip, const void *from, size_t bytes);

/* Reads exactly the first `bytes` and drops them. False: there are fewer; nothing is dropped. */
bool iov_take(struct iov *iov, void *to, size_t bytes);

/* Adds to `to` at most `bytes` of `from`, from byte `skip` on. to->parts has room for from->n more. */
void iov_append(struct iov *to, const struct iov *from, uint64_t skip, uint64_t bytes);

#endif
