/* SPDX-License-Identifier: MIT */
/* What a snapshot keeps of a disk beside its queue: what its files were. Their content stays in them. */
#ifndef VIRTIO_MMIO_BLOCK_STATE_H
#define VIRTIO_MMIO_BLOCK_STATE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/error.h"
#include "virtio-mmio/block.h"

struct block_file_state {
	uint64_t device, inode, mtime_s, mtime_ns; /* zeroes for a block device */
};

struct block_state {
	uint64_t sectors;
	struct block_file_state image, overlay;
	uint64_t overlay_hash; /* of which blocks it has; 0: none */
	uint8_t read_only;     /* for the guest */
	uint8_t overlay_path
		[255]; /* as the user gave it, cut; zeroes where the overlay has no name */
};
static_assert(sizeof(struct block_state) == 336, "a file's format");

/* While its queue is stopped, again and again: goes towards rest as far as there is nothing to wait for. At rest nothing is in
 * flight, and a kept overlay's file says which blocks it has. True: it is, or its flush has failed: see final_flush_failed.
 * Ring's thread. */
bool block_come_to_rest(struct block *block);

/* False: what the guest has written is lost with this process. */
bool block_can_be_saved(const struct block *block, struct error_text *error);

/* At rest, on the ring's thread. */
void block_save(const struct block *block, struct block_state *state);

/* After virtio_transport_restore(), before ring_start(). False: the host's disk is not the guest's. */
bool block_restore(struct block *block, const struct block_state *state, struct error_text *error);

#endif
