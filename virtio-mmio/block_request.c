/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/block_request.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stddef.h>
#include <string.h>

#include "host/message.h"

#define ZEROES_BYTES 65536u

static_assert(sizeof(struct virtio_blk_outhdr) == 16, "virtio 1.2, 5.2.6");
static_assert(sizeof(struct virtio_blk_discard_write_zeroes) == 16, "virtio 1.2, 5.2.6");

/* Never written; not const, so that it takes no space in the file. */
static uint8_t zeroes[ZEROES_BYTES];

/* Drops `bytes` from the front of the request's data. */
static void advance(struct block_request *request, uint64_t bytes)
{
	request->offset += bytes;
	request->remaining -= bytes;
	iov_skip(&request->data, bytes);
}

static void prepare_transfer(struct block_request *request, struct io_uring_sqe *sqe)
{
	bool is_read = request->type == VIRTIO_BLK_T_IN;
	const struct iovec *parts = request->data.parts;
	int fd = request->store->image->fd;
	uint64_t bytes = 0;
	unsigned n = 0;

	while (n < request->data.n && bytes + parts[n].iov_len <= BLOCK_STEP_BYTES)
		bytes += parts[n++].iov_len;
	if (n > 1 && is_read) {
		io_uring_prep_readv(sqe, fd, parts, n, request->offset);
	} else if (n > 1) {
		io_uring_prep_writev(sqe, fd, parts, n, request->offset);
	} else {
		/* One buffer, or the beginning of one that is too long for a step. */
		unsigned length = n == 1 ? (unsigned)bytes : (unsigned)BLOCK_STEP_BYTES;
		if (is_read)
			io_uring_prep_read(sqe, fd, parts->iov_base, length, request->offset);
		else
			io_uring_prep_write(sqe, fd, parts->iov_base, length, request->offset);
	}
}

static void prepare_zeroes(struct block_request *request, struct io_uring_sqe *sqe)
{
	struct block_store *store = request->store;
	uint64_t length = request->remaining;
	int mode = FALLOC_FL_KEEP_SIZE;

	if (request->zero_method == ZERO_BY_WRITE) {
		io_uring_prep_write(sqe, store->image->fd, zeroes,
				    (unsigned)(length < ZEROES_BYTES ? length : ZEROES_BYTES),
				    request->offset);
		return;
	}
	mode |= request->zero_method == ZERO_BY_RANGE ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE;
	io_uring_prep_fallocate(sqe, store->image->fd, mode, (off_t)request->offset, (off_t)length);
}

void block_request_prepare(struct block_request *request, struct io_uring_sqe *sqe)
{
	struct block_store *store = request->store;

	switch (request->type) {
	case VIRTIO_BLK_T_FLUSH:
		request->writes_before = store->writes;
		io_uring_prep_fsync(sqe, store->image->fd, IORING_FSYNC_DATASYNC);
		break;
	case VIRTIO_BLK_T_DISCARD:
		io_uring_prep_fallocate(sqe, store->image->fd,
					FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					(off_t)request->offset, (off_t)request->remaining);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		prepare_zeroes(request, sqe);
		break;
	default:
		prepare_transfer(request, sqe);
		if (request->type == VIRTIO_BLK_T_OUT && store->write_through)
			sqe->rw_flags = RWF_DSYNC;
		break;
	}
	if (store->image->reads_need_worker)
		sqe->flags |= IOSQE_ASYNC; /* FUSE claims not to wait, but does */
}

bool block_request_is_write(const struct block_request *request)
{
	return request->type == VIRTIO_BLK_T_OUT || (request->type == VIRTIO_BLK_T_WRITE_ZEROES &&
						     request->zero_method == ZERO_BY_WRITE);
}

void block_request_make_flush(struct block_request *request)
{
	request->type = VIRTIO_BLK_T_FLUSH;
	request->offset = 0;
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
		warn("disk %s: %s at byte %llu: %s; the guest gets an I/O error (this and later "
		     "ones)",
		     store->image->path, names[request->type], (unsigned long long)request->offset,
		     error ? strerror(error) : "the file has become shorter");
	store->error_reported = true;
	return VIRTIO_BLK_S_IOERR;
}

/* The file system or device lacks this fallocate, or refuses this alignment. */
static bool lacks_method(int32_t result)
{
	return result == -EOPNOTSUPP || result == -EINVAL;
}

int block_request_step_done(struct block_request *request, int32_t result)
{
	struct block_store *store = request->store;
	bool is_zeroes = request->type == VIRTIO_BLK_T_WRITE_ZEROES;

	if (result == -EINTR)
		return BLOCK_IN_PROGRESS;
	if (lacks_method(result) && request->type == VIRTIO_BLK_T_DISCARD)
		return VIRTIO_BLK_S_OK; /* discard is advice */
	if (lacks_method(result) && is_zeroes && request->zero_method != ZERO_BY_WRITE) {
		/* EINVAL may be this request's alignment only. */
		if (request->zero_method++ == store->zero_method && result == -EOPNOTSUPP)
			store->zero_method = request->zero_method;
		return BLOCK_IN_PROGRESS;
	}
	if (result < 0)
		return block_request_fail(request, -result);
	if (request->type == VIRTIO_BLK_T_FLUSH) {
		if (request->writes_before > store->flushed_writes)
			store->flushed_writes = request->writes_before;
		return VIRTIO_BLK_S_OK;
	}
	if (request->type != VIRTIO_BLK_T_IN)
		store->writes++;
	if (request->type == VIRTIO_BLK_T_DISCARD)
		return VIRTIO_BLK_S_OK;
	if (is_zeroes && request->zero_method != ZERO_BY_WRITE)
		request->remaining = 0; /* fallocate does all or fails */
	else if (result > 0)
		advance(request, (uint64_t)result);
	else
		return block_request_fail(request, 0);
	if (request->type == VIRTIO_BLK_T_IN)
		request->written += (uint32_t)result;
	if (request->remaining == 0 && is_zeroes && store->write_through)
		request->type = VIRTIO_BLK_T_FLUSH;
	else if (request->remaining == 0)
		return VIRTIO_BLK_S_OK;
	return BLOCK_IN_PROGRESS;
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
	return BLOCK_IN_PROGRESS;
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
	struct block_store *store = request->store;
	struct virtio_blk_outhdr header;

	request->written = 0;
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
		*status = VIRTIO_BLK_S_OK;
		request->offset = 0;
		if (!store->image->read_only)
			*status = BLOCK_IN_PROGRESS;
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
