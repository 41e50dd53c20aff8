/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/block_request.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "host/message.h"
#include "virtio-mmio/block_overlay.h"

static_assert(sizeof(struct virtio_blk_outhdr) == 16, "virtio 1.2, 5.2.6");
static_assert(sizeof(struct virtio_blk_discard_write_zeroes) == 16, "virtio 1.2, 5.2.6");

void block_request_make_flush(struct block_request *request)
{
	request->type = VIRTIO_BLK_T_FLUSH;
	request->offset = 0;
	request->flush_phase = FLUSH_DATA;
	request->cut_part = NULL;
}

int block_request_fail(struct block_request *request, int error)
{
	static const char *const names[] = {
		[VIRTIO_BLK_T_IN] = "read",
		[VIRTIO_BLK_T_OUT] = "write",
		[VIRTIO_BLK_T_FLUSH] = "flush",
		[VIRTIO_BLK_T_DISCARD] = "discard",
		[VIRTIO_BLK_T_WRITE_ZEROES] = "write zeroes",
	};
	struct block_store *store = request->store;

	/* One line a disk: a guest that retries must not fill the log. */
	if (!store->error_reported)
		warn("disk %s%s: %s at byte %llu: %s; the guest gets an I/O error (this and later "
		     "ones)",
		     store->image->path, request->file == store->image ? "" : ",overlay",
		     names[request->type], (unsigned long long)request->offset,
		     error ? strerror(error) : "the file has become shorter");
	store->error_reported = true;
	return VIRTIO_BLK_S_IOERR;
}

/* True if [sector, sector + sectors) lies on the disk; nothing can wrap. */
static bool on_disk(const struct block_store *store, uint64_t sector, uint64_t sectors)
{
	return sector <= store->image->sectors && sectors <= store->image->sectors - sector;
}

static int begin_transfer(struct block_request *request, uint64_t sector)
{
	struct block_store *store = request->store;

	if (request->remaining % SECTOR_BYTES != 0 ||
	    !on_disk(store, sector, request->remaining / SECTOR_BYTES))
		return VIRTIO_BLK_S_IOERR;
	if (request->type == VIRTIO_BLK_T_OUT && store->image->read_only)
		return VIRTIO_BLK_S_IOERR;
	if (request->remaining == 0)
		return VIRTIO_BLK_S_OK;
	request->offset = sector * SECTOR_BYTES;
	return BLOCK_IN_PROGRESS;
}

/* Discard is advice: a part of a block stays as it is. */
static int keep_whole_blocks(struct block_request *request)
{
	uint64_t disk_bytes = request->store->image->overlay->disk_bytes;
	uint64_t end = request->offset + request->remaining;
	uint64_t start = block_overlay_block_start(request->offset + OVERLAY_BLOCK_BYTES - 1);

	if (end < disk_bytes)
		end = block_overlay_block_start(end);
	if (start >= end)
		return VIRTIO_BLK_S_OK;
	request->offset = start;
	request->remaining = end - start;
	return BLOCK_IN_PROGRESS;
}

/* Discard and write-zeroes carry one segment: max_discard_seg and max_write_zeroes_seg are 1. */
static int begin_range(struct block_request *request)
{
	struct virtio_blk_discard_write_zeroes range;
	struct block_store *store = request->store;
	bool is_discard = request->type == VIRTIO_BLK_T_DISCARD;

	if (store->image->read_only)
		return VIRTIO_BLK_S_UNSUPP; /* the features are not offered */
	if (request->remaining != sizeof(range) || !iov_take(&request->data, &range, sizeof(range)))
		return VIRTIO_BLK_S_IOERR;
	/* virtio 1.2, 5.2.6.2: reserved flags, and unmap in a discard, are not supported. */
	if (range.flags & (is_discard ? ~0u : ~(uint32_t)VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP))
		return VIRTIO_BLK_S_UNSUPP;
	if (range.num_sectors > BLOCK_MAX_RANGE_SECTORS ||
	    !on_disk(store, range.sector, range.num_sectors))
		return VIRTIO_BLK_S_IOERR;
	if (range.num_sectors == 0)
		return VIRTIO_BLK_S_OK;
	request->zero_method = store->zero_method;
	if ((range.flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP) &&
	    request->zero_method == ZERO_BY_RANGE)
		request->zero_method = ZERO_BY_PUNCH; /* it may give the space back */
	request->offset = range.sector * SECTOR_BYTES;
	request->remaining = (uint64_t)range.num_sectors * SECTOR_BYTES;
	if (is_discard && store->image->overlay != NULL)
		return keep_whole_blocks(request);
	return BLOCK_IN_PROGRESS;
}

static int begin_flush(struct block_request *request)
{
	const struct block_image *image = request->store->image;
	const struct block_overlay *overlay = image->overlay;

	block_request_make_flush(request);
	if (image->read_only || (overlay != NULL && !overlay->is_kept))
		return VIRTIO_BLK_S_OK;
	return request->store->flush_failed ? VIRTIO_BLK_S_IOERR : BLOCK_IN_PROGRESS;
}

static int begin_get_id(struct block_request *request)
{
	request->written =
		(uint32_t)iov_write(&request->data, request->store->image->id, BLOCK_ID_BYTES);
	return VIRTIO_BLK_S_OK;
}

/* Takes the header and the status byte off the chain; the device leaves their framing to the driver
 * (virtio 1.2, 2.7.4). False: the chain is too short for them. */
static bool take_frame(struct block_request *request, struct virtio_blk_outhdr *header)
{
	struct virtqueue_chain *chain = &request->chain;
	struct iov *writable = &chain->writable;
	struct iovec *last;

	if (writable->n == 0 || !iov_take(&chain->readable, header, sizeof(*header)))
		return false;
	last = &writable->parts[writable->n - 1];
	request->status = (uint8_t *)last->iov_base + last->iov_len - 1;
	if (--last->iov_len == 0)
		writable->n--;
	return true;
}

/* Selects the half of the chain that holds the request's data, and adds up its length. */
static void select_data(struct block_request *request)
{
	bool to_guest = request->type == VIRTIO_BLK_T_IN || request->type == VIRTIO_BLK_T_GET_ID;

	request->data = to_guest ? request->chain.writable : request->chain.readable;
	request->remaining = iov_bytes(&request->data); /* at most 128 times 4 GiB */
}

bool block_request_begin(struct block_request *request, int *status)
{
	struct virtio_blk_outhdr header;

	request->written = 0;
	request->has_copy = false;
	request->flush_phase = FLUSH_DATA;
	request->cut_part = NULL;
	if (!take_frame(request, &header))
		return false;
	request->type = header.type;
	select_data(request);
	switch (request->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		*status = begin_transfer(request, header.sector);
		break;
	case VIRTIO_BLK_T_FLUSH:
		*status = begin_flush(request);
		break;
	case VIRTIO_BLK_T_GET_ID:
		*status = begin_get_id(request);
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		*status = begin_range(request);
		break;
	default:
		*status = VIRTIO_BLK_S_UNSUPP;
		break;
	}
	return true;
}
