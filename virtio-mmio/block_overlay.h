/* SPDX-License-Identifier: MIT */
/*
 * What a guest writes to a disk whose image, the base, is only read: a sparse file, and a bit for each of its blocks which
 * says that the block is the overlay's. A bit is never taken back: a block that was discarded is a hole, which reads as
 * zeroes. It knows no request, and does no I/O. On the ring's thread.
 *
 * On disk (overlay=FILE) bits follow the data: a flush first makes the data stable, and then the bits of just that data.
 * So each bit on disk tells of data on disk, also after a crash, and after part of a write of bits.
 */
#ifndef VIRTIO_MMIO_BLOCK_OVERLAY_H
#define VIRTIO_MMIO_BLOCK_OVERLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio-mmio/block_image.h"

/* A guest's page, and the block of its file systems: what it writes is seldom less. */
#define OVERLAY_BLOCK_BYTES 4096u

/* A kept overlay's file: its header, the pages of bits, the blocks. */
#define OVERLAY_HEADER_BYTES 4096u

/* The bits are written in pages. One page has those of 128 MiB. */
#define OVERLAY_PAGE_BYTES  4096u
#define OVERLAY_PAGE_BLOCKS ((uint64_t)OVERLAY_PAGE_BYTES * 8)

struct block_overlay {
	struct block_image file;
	bool is_kept;        /* in a FILE of the user's, where flushes count */
	uint64_t disk_bytes; /* the base's; the last block may be shorter than others */
	uint64_t data_start; /* of the disk's first byte in the file */
	uint64_t n_pages;    /* of bits */
	uint64_t *present;   /* the bits */
	uint64_t *stored;    /* kept: the bits of data that the flush makes stable */
	uint8_t *page_flags; /* kept: OVERLAY_PAGE_ */
	uint8_t *copies;     /* a block for each request, for its copy from the base */
};

/* The disk's block that holds byte `offset`: where it begins, and how long it is. */
static inline uint64_t block_overlay_block_start(uint64_t offset)
{
	return offset - offset % OVERLAY_BLOCK_BYTES;
}

uint64_t block_overlay_block_bytes(const struct block_overlay *overlay, uint64_t offset);

/* Whether the overlay has all blocks of [offset, offset + bytes); bytes > 0. */
bool block_overlay_has(const struct block_overlay *overlay, uint64_t offset, uint64_t bytes);

/* How many of these bytes, from the first on, are all the overlay's or all the base's. */
uint64_t block_overlay_run(const struct block_overlay *overlay, uint64_t offset, uint64_t bytes,
			   bool *in_overlay);

/* How many of these bytes, from the first on, can be written as they are: into blocks that the overlay has, and whole others.
 * 0: the first block needs the rest of its bytes from the base. */
uint64_t block_overlay_writable(const struct block_overlay *overlay, uint64_t offset,
				uint64_t bytes);

/* These bytes have been written; block_overlay_writable() had allowed them, and more maybe. Returns how many of them count: not
 * those of a block that the overlay has only in part. */
uint64_t block_overlay_add(struct block_overlay *overlay, uint64_t offset, uint64_t bytes);

/* A flush, one at a time. begin: before the data is made stable; the bits of later data wait for the next flush. next: once
 * it is stable, the bytes of `stored` to be written next, from *start on, and to the same place of the file behind its header; 0:
 * all is written. written: these have been. */
void block_overlay_begin_flush(struct block_overlay *overlay);
uint64_t block_overlay_next_bits(const struct block_overlay *overlay, uint64_t *start);
void block_overlay_bits_written(struct block_overlay *overlay, uint64_t start, uint64_t bytes);

#endif
