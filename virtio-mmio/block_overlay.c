/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/block_overlay.h"

#include <string.h>

#define WORD_BITS       64u
#define STORE_PAGES_MAX 256u

enum {
	OVERLAY_PAGE_CHANGED = 1,  /* it has bits that no flush has begun to store */
	OVERLAY_PAGE_TO_STORE = 2, /* a flush has begun to store it */
};

static bool has_block(const struct block_overlay *overlay, uint64_t block)
{
	return overlay->present[block / WORD_BITS] >> block % WORD_BITS & 1;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The first block behind the range. */
static uint64_t end_block(uint64_t offset, uint64_t bytes)
{
	return (offset + bytes + OVERLAY_BLOCK_BYTES - 1) / OVERLAY_BLOCK_BYTES;
}

uint64_t block_overlay_block_bytes(const struct block_overlay *overlay, uint64_t offset)
{
	return smaller(OVERLAY_BLOCK_BYTES,
		       overlay->disk_bytes - block_overlay_block_start(offset));
}

/* The end of the run of blocks from `first` on that are like it. */
static uint64_t run_end(const struct block_overlay *overlay, uint64_t first, uint64_t end)
{
	uint64_t like = has_block(overlay, first) ? ~0ull : 0, block = first;

	while (block < end) {
		uint64_t others = (overlay->present[block / WORD_BITS] ^ like) >> block % WORD_BITS;
		if (others != 0) {
			block += (unsigned)__builtin_ctzll(others);
			break;
		}
		block += WORD_BITS - block % WORD_BITS;
	}
	return smaller(block, end);
}

uint64_t block_overlay_run(const struct block_overlay *overlay, uint64_t offset, uint64_t bytes,
			   bool *in_overlay)
{
	uint64_t first = offset / OVERLAY_BLOCK_BYTES;
	uint64_t end = run_end(overlay, first, end_block(offset, bytes)) * OVERLAY_BLOCK_BYTES;

	*in_overlay = has_block(overlay, first);
	return smaller(bytes, end - offset);
}

bool block_overlay_has(const struct block_overlay *overlay, uint64_t offset, uint64_t bytes)
{
	bool in_overlay;

	return block_overlay_run(overlay, offset, bytes, &in_overlay) == bytes && in_overlay;
}

uint64_t block_overlay_writable(const struct block_overlay *overlay, uint64_t offset,
				uint64_t bytes)
{
	uint64_t end = offset + bytes, rest = end % OVERLAY_BLOCK_BYTES;
	uint64_t start = block_overlay_block_start(offset);
	bool is_whole = offset == start && bytes >= block_overlay_block_bytes(overlay, offset);

	if (!is_whole && !has_block(overlay, offset / OVERLAY_BLOCK_BYTES))
		return 0;
	if (rest > 0 && end < overlay->disk_bytes && !has_block(overlay, end / OVERLAY_BLOCK_BYTES))
		end -= rest;
	return end - offset;
}

static void add_blocks(struct block_overlay *overlay, uint64_t block, uint64_t end)
{
	while (block < end) {
		uint64_t *word = &overlay->present[block / WORD_BITS];
		uint64_t n = smaller(WORD_BITS - block % WORD_BITS, end - block);
		uint64_t bits = (n == WORD_BITS ? ~0ull : (1ull << n) - 1) << block % WORD_BITS;
		if (overlay->is_kept && (*word & bits) != bits)
			overlay->page_flags[block / OVERLAY_PAGE_BLOCKS] |= OVERLAY_PAGE_CHANGED;
		*word |= bits;
		block += n;
	}
}

uint64_t block_overlay_add(struct block_overlay *overlay, uint64_t offset, uint64_t bytes)
{
	if (bytes > 0)
		bytes = block_overlay_writable(overlay, offset, bytes);
	if (bytes > 0)
		add_blocks(overlay, offset / OVERLAY_BLOCK_BYTES, end_block(offset, bytes));
	return bytes;
}

void block_overlay_begin_flush(struct block_overlay *overlay)
{
	for (uint64_t page = 0; page < overlay->n_pages; page++) {
		uint64_t at = page * OVERLAY_PAGE_BYTES;
		if (!(overlay->page_flags[page] & OVERLAY_PAGE_CHANGED))
			continue;
		memcpy((uint8_t *)overlay->stored + at, (uint8_t *)overlay->present + at,
		       OVERLAY_PAGE_BYTES);
		overlay->page_flags[page] = OVERLAY_PAGE_TO_STORE;
	}
}

static bool is_to_store(const struct block_overlay *overlay, uint64_t page)
{
	return page < overlay->n_pages && (overlay->page_flags[page] & OVERLAY_PAGE_TO_STORE);
}

uint64_t block_overlay_next_bits(const struct block_overlay *overlay, uint64_t *start)
{
	uint64_t first = 0, n = 0;

	while (first < overlay->n_pages && !is_to_store(overlay, first))
		first++;
	while (n < STORE_PAGES_MAX && is_to_store(overlay, first + n))
		n++;
	*start = first * OVERLAY_PAGE_BYTES;
	return n * OVERLAY_PAGE_BYTES;
}

void block_overlay_bits_written(struct block_overlay *overlay, uint64_t start, uint64_t bytes)
{
	for (uint64_t at = start; at < start + bytes; at += OVERLAY_PAGE_BYTES)
		overlay->page_flags[at / OVERLAY_PAGE_BYTES] &= (uint8_t)~OVERLAY_PAGE_TO_STORE;
}
