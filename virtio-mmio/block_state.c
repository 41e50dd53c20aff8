/* SPDX-License-Identifier: MIT */
/*
 * Derived, of struct block: device and config are made anew, and are checked against what the guest knows. At rest there are no
 * requests, all are in free_requests, lanes are empty and starved is false. head and head_op are done with; final_flush_failed
 * refuses the snapshot.
 *
 * Of struct block_store: image; write_through is told again by virtio_transport_restore(); error_reported and zero_method are
 * learned anew; writes and flushed_writes count those of one process.
 */
#include "virtio-mmio/block_state.h"

#include <string.h>
#include <sys/stat.h>

#include "virtio-mmio/block_overlay.h"

#define HASH_FACTOR 0x100000001b3u

bool block_come_to_rest(struct block *block)
{
	const struct block_overlay *overlay = block->store.image->overlay;

	if (block_is_busy(block))
		return false;
	if (overlay == NULL || !overlay->is_kept || !block_is_unflushed(block) ||
	    block->final_flush_failed)
		return true;
	block_start_final_flush(block);
	return false;
}

static uint64_t overlay_hash(const struct block_overlay *overlay)
{
	uint64_t words = overlay->n_pages * OVERLAY_PAGE_BYTES / sizeof(overlay->present[0]);
	uint64_t hash = 0;

	for (uint64_t i = 0; i < words; i++)
		hash = (hash + overlay->present[i]) * HASH_FACTOR;
	return hash;
}

bool block_can_be_saved(const struct block *block, struct error_text *error)
{
	const struct block_image *image = block->store.image;

	if (block->store.flush_failed)
		return error_set_refused(error, "disk %s: it cannot be flushed", image->path);
	return image->overlay == NULL || image->overlay->is_kept ||
	       overlay_hash(image->overlay) == 0 ||
	       error_set(error,
			 "disk %s: what the guest has written ends with this VM: expected "
			 "overlay=FILE",
			 image->path);
}

static struct block_file_state describe(const struct block_image *image)
{
	struct stat status;

	if (!image->is_regular || fstat(image->fd, &status) < 0)
		return (struct block_file_state){ 0 };
	return (struct block_file_state){
		.device = status.st_dev,
		.inode = status.st_ino,
		.mtime_s = (uint64_t)status.st_mtim.tv_sec,
		.mtime_ns = (uint64_t)status.st_mtim.tv_nsec,
	};
}

void block_save(const struct block *block, struct block_state *state)
{
	const struct block_image *image = block->store.image;
	const struct block_overlay *overlay = image->overlay;

	*state = (struct block_state){
		.sectors = image->sectors,
		.image = describe(image),
		.read_only = image->read_only,
	};
	if (overlay == NULL || !overlay->is_kept)
		return;
	state->overlay = describe(&overlay->file);
	state->overlay_hash = overlay_hash(overlay);
	memcpy(state->overlay_path, overlay->file.path,
	       strnlen(overlay->file.path, sizeof(state->overlay_path) - 1));
}

/* A copy has another inode: nothing tells whether it is a good one. */
static bool is_as_it_was(const struct block_image *image, const struct block_file_state *was,
			 struct error_text *error)
{
	struct block_file_state is = describe(image);

	if (was->inode == 0 || is.inode != was->inode || is.device != was->device ||
	    (is.mtime_s == was->mtime_s && is.mtime_ns == was->mtime_ns))
		return true;
	return error_set(error, "disk %s: it has been written since the snapshot", image->path);
}

static bool restore_overlay(const struct block_overlay *overlay, const struct block_state *state,
			    struct error_text *error)
{
	uint64_t hash = overlay != NULL && overlay->is_kept ? overlay_hash(overlay) : 0;

	if (hash == state->overlay_hash)
		return overlay == NULL || is_as_it_was(&overlay->file, &state->overlay, error);
	return error_set(error,
			 "disk: expected overlay=FILE with what the snapshot's had: '%.*s', or a "
			 "copy of it",
			 (int)sizeof(state->overlay_path) - 1, (const char *)state->overlay_path);
}

bool block_restore(struct block *block, const struct block_state *state, struct error_text *error)
{
	const struct block_image *image = block->store.image;

	if (state->sectors != image->sectors)
		return error_set(error, "disk %s: it has %llu bytes, the snapshot's has %llu",
				 image->path, (unsigned long long)image->sectors * SECTOR_BYTES,
				 (unsigned long long)state->sectors * SECTOR_BYTES);
	if (state->read_only != image->read_only)
		return error_set(error, "disk %s: it is %s, the snapshot's is %s", image->path,
				 image->read_only ? "read-only" : "writable",
				 state->read_only ? "read-only" : "writable");
	return is_as_it_was(image, &state->image, error) &&
	       restore_overlay(image->overlay, state, error);
}
