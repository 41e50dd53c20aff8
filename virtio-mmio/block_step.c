/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/block_step.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stddef.h>
#include <string.h>

#include "virtio-mmio/block_overlay.h"

#define ZEROES_BYTES 65536u

/* Never written; not const, so that it takes no space in the file. */
static uint8_t zeroes[ZEROES_BYTES];

static struct block_overlay *overlay_of(const struct block_request *request)
{
	return request->store->image->overlay;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool is_zeroes(const struct block_request *request)
{
	return request->type == VIRTIO_BLK_T_WRITE_ZEROES;
}

/* Whether fallocate does the request. */
static bool is_by_range(const struct block_request *request)
{
	return request->type == VIRTIO_BLK_T_DISCARD ||
	       (is_zeroes(request) && request->zero_method != ZERO_BY_WRITE);
}

static uint64_t max_bytes(const struct block_request *request)
{
	if (is_by_range(request))
		return request->remaining;
	return smaller(request->remaining, is_zeroes(request) ? ZEROES_BYTES : BLOCK_STEP_BYTES);
}

/* A read of what is the base's, or of what is the overlay's. */
static void plan_read(struct block_request *request)
{
	struct block_overlay *overlay = overlay_of(request);
	bool in_overlay;

	request->step_bytes =
		block_overlay_run(overlay, request->offset, request->step_bytes, &in_overlay);
	if (in_overlay)
		request->file = &overlay->file;
}

/* Blocks that the overlay has, and whole others, are written at once. What is left of another block is first copied from the
 * base. */
static void plan_change(struct block_request *request)
{
	struct block_overlay *overlay = overlay_of(request);
	uint64_t offset = request->offset;
	uint64_t bytes = block_overlay_writable(overlay, offset, request->step_bytes);

	if (bytes == 0) {
		bytes = block_overlay_block_bytes(overlay, offset) - offset % OVERLAY_BLOCK_BYTES;
		request->step_bytes = smaller(bytes, request->step_bytes);
		request->step = request->has_copy ? BLOCK_MERGE : BLOCK_COPY;
	} else {
		request->step_bytes = bytes;
		if (request->step == BLOCK_WRITE && !block_overlay_has(overlay, offset, bytes))
			request->step = BLOCK_FILL;
	}
	if (request->step != BLOCK_COPY)
		request->file = &overlay->file;
}

static void plan_flush(struct block_request *request)
{
	struct block_overlay *overlay = overlay_of(request);

	request->step = BLOCK_SYNC;
	if (overlay == NULL)
		return;
	request->file = &overlay->file;
	if (request->flush_phase == FLUSH_BITS)
		request->step = BLOCK_STORE;
}

void block_step_plan(struct block_request *request)
{
	request->file = request->store->image;
	request->step_bytes = max_bytes(request);
	if (request->type == VIRTIO_BLK_T_FLUSH) {
		plan_flush(request);
		return;
	}
	request->step = BLOCK_WRITE;
	if (request->type == VIRTIO_BLK_T_IN)
		request->step = BLOCK_READ;
	else if (is_by_range(request))
		request->step = BLOCK_RANGE;
	if (overlay_of(request) == NULL)
		return;
	if (request->type == VIRTIO_BLK_T_IN)
		plan_read(request);
	else
		plan_change(request);
}

/* The last buffer of a step may be longer than the step: it is cut while the step is on the ring. */
static void cut(struct block_request *request, struct iovec *part, uint64_t bytes)
{
	request->cut_part = part;
	request->cut_bytes = part->iov_len - bytes;
	part->iov_len = bytes;
}

static void mend(struct block_request *request)
{
	if (request->cut_part != NULL)
		request->cut_part->iov_len += request->cut_bytes;
	request->cut_part = NULL;
}

static uint64_t place(const struct block_request *request, uint64_t offset)
{
	return request->file == request->store->image ? offset
						      : overlay_of(request)->data_start + offset;
}

static void prepare_transfer(struct block_request *request, struct io_uring_sqe *sqe)
{
	struct iovec *parts = request->data.parts;
	int fd = request->file->fd;
	uint64_t bytes = 0, offset = place(request, request->offset);
	unsigned n = 0;

	while (n < request->data.n && bytes + parts[n].iov_len <= request->step_bytes)
		bytes += parts[n++].iov_len;
	if (bytes < request->step_bytes) {
		cut(request, &parts[n], request->step_bytes - bytes);
		n++;
	}
	if (n > 1 && request->step == BLOCK_READ)
		io_uring_prep_readv(sqe, fd, parts, n, offset);
	else if (n > 1)
		io_uring_prep_writev(sqe, fd, parts, n, offset);
	else if (request->step == BLOCK_READ)
		io_uring_prep_read(sqe, fd, parts->iov_base, (unsigned)parts->iov_len, offset);
	else
		io_uring_prep_write(sqe, fd, parts->iov_base, (unsigned)parts->iov_len, offset);
}

static void prepare_write(struct block_request *request, struct io_uring_sqe *sqe)
{
	const struct block_store *store = request->store;

	if (is_zeroes(request)) {
		io_uring_prep_write(sqe, request->file->fd, zeroes, (unsigned)request->step_bytes,
				    place(request, request->offset));
		return;
	}
	prepare_transfer(request, sqe);
	if (store->write_through && store->image->overlay == NULL)
		sqe->rw_flags = RWF_DSYNC;
}

static void prepare_range(struct block_request *request, struct io_uring_sqe *sqe)
{
	bool punch = request->type == VIRTIO_BLK_T_DISCARD || request->zero_method == ZERO_BY_PUNCH;

	io_uring_prep_fallocate(sqe, request->file->fd,
				FALLOC_FL_KEEP_SIZE |
					(punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE),
				(off_t)place(request, request->offset), (off_t)request->step_bytes);
}

/* Reads the block's copy from the base, or writes it with what the guest changes in it. */
static void prepare_block(struct block_request *request, struct io_uring_sqe *sqe)
{
	uint64_t start = block_overlay_block_start(request->offset);
	unsigned bytes = (unsigned)block_overlay_block_bytes(overlay_of(request), request->offset);
	uint8_t *changed = request->copy + (request->offset - start);

	if (request->step == BLOCK_COPY) {
		io_uring_prep_read(sqe, request->file->fd, request->copy, bytes, start);
		return;
	}
	if (is_zeroes(request))
		memset(changed, 0, request->step_bytes);
	else
		iov_read(&request->data, changed, request->step_bytes);
	io_uring_prep_write(sqe, request->file->fd, request->copy, bytes, place(request, start));
}

static void prepare_store(struct block_request *request, struct io_uring_sqe *sqe)
{
	const struct block_overlay *overlay = overlay_of(request);
	uint64_t start, bytes = block_overlay_next_bits(overlay, &start);

	io_uring_prep_write(sqe, request->file->fd, (uint8_t *)overlay->stored + start,
			    (unsigned)bytes, OVERLAY_HEADER_BYTES + start);
}

static void prepare_sync(struct block_request *request, struct io_uring_sqe *sqe)
{
	if (request->flush_phase == FLUSH_DATA) {
		request->writes_before = request->store->writes;
		if (overlay_of(request) != NULL)
			block_overlay_begin_flush(overlay_of(request));
	}
	io_uring_prep_fsync(sqe, request->file->fd, IORING_FSYNC_DATASYNC);
}

void block_step_prepare(struct block_request *request, struct io_uring_sqe *sqe)
{
	static void (*const prepare[])(struct block_request * request,
				       struct io_uring_sqe * sqe) = {
		[BLOCK_READ] = prepare_transfer, [BLOCK_WRITE] = prepare_write,
		[BLOCK_FILL] = prepare_write,    [BLOCK_RANGE] = prepare_range,
		[BLOCK_COPY] = prepare_block,    [BLOCK_MERGE] = prepare_block,
		[BLOCK_SYNC] = prepare_sync,     [BLOCK_STORE] = prepare_store,
	};

	mend(request);
	/* While it waited another request may have brought the block into the overlay: then its copy is an old one. */
	if (request->step == BLOCK_MERGE &&
	    block_overlay_has(overlay_of(request), request->offset, 1))
		request->step = BLOCK_WRITE;
	prepare[request->step](request, sqe);
	if (request->file->reads_need_worker)
		sqe->flags |= IOSQE_ASYNC; /* FUSE claims not to wait, but does */
}

/* The file system or device lacks this fallocate, or refuses this alignment. */
static bool lacks_method(const struct block_request *request, int32_t result)
{
	return request->step == BLOCK_RANGE && (result == -EOPNOTSUPP || result == -EINVAL);
}

static int without_method(struct block_request *request, int32_t result)
{
	struct block_store *store = request->store;

	if (request->type == VIRTIO_BLK_T_DISCARD)
		return VIRTIO_BLK_S_OK; /* discard is advice */
	/* EINVAL may be this request's alignment only. */
	if (request->zero_method++ == store->zero_method && result == -EOPNOTSUPP)
		store->zero_method = request->zero_method;
	return BLOCK_IN_PROGRESS;
}

static int fail(struct block_request *request, int error)
{
	if (request->type == VIRTIO_BLK_T_FLUSH)
		request->store->flush_failed = true;
	return block_request_fail(request, error);
}

/* The overlay's data, then its new bits, are stable. */
static int flush_step_done(struct block_request *request, int32_t result)
{
	struct block_overlay *overlay = overlay_of(request);
	struct block_store *store = request->store;
	uint64_t start, bytes;

	if (store->flush_failed)
		return fail(request, EIO); /* meanwhile */
	if (request->step == BLOCK_STORE) {
		bytes = block_overlay_next_bits(overlay, &start);
		if ((uint64_t)result < bytes)
			return fail(request, ENOSPC);
		block_overlay_bits_written(overlay, start, bytes);
	}
	if (overlay != NULL && request->flush_phase != FLUSH_END) {
		bool is_stored = block_overlay_next_bits(overlay, &start) == 0;
		if (!is_stored)
			request->flush_phase = FLUSH_BITS;
		else if (request->flush_phase == FLUSH_BITS)
			request->flush_phase = FLUSH_END;
		if (request->flush_phase != FLUSH_DATA)
			return BLOCK_IN_PROGRESS;
	}
	if (request->writes_before > store->flushed_writes)
		store->flushed_writes = request->writes_before;
	return VIRTIO_BLK_S_OK;
}

static int copied(struct block_request *request, int32_t result)
{
	if ((uint64_t)result < block_overlay_block_bytes(overlay_of(request), request->offset))
		return fail(request, 0);
	request->has_copy = true;
	return BLOCK_IN_PROGRESS;
}

/* How many bytes of the request a step has done. */
static uint64_t bytes_done(struct block_request *request, uint64_t result)
{
	struct block_overlay *overlay = overlay_of(request);

	if (request->step == BLOCK_RANGE)
		result = request->step_bytes; /* fallocate does all or fails */
	if (overlay == NULL || request->step == BLOCK_READ)
		return result;
	if (request->step != BLOCK_MERGE)
		return block_overlay_add(overlay, request->offset, result);
	return block_overlay_add(overlay, block_overlay_block_start(request->offset), result) > 0
		       ? request->step_bytes
		       : 0;
}

/* All is done. Where each write is to be stable, and no flag of the write itself says so, a flush follows. */
static int all_done(struct block_request *request)
{
	const struct block_overlay *overlay = overlay_of(request);

	if (!request->store->write_through || request->type == VIRTIO_BLK_T_IN ||
	    (overlay != NULL ? !overlay->is_kept : !is_zeroes(request)))
		return VIRTIO_BLK_S_OK;
	block_request_make_flush(request);
	return BLOCK_IN_PROGRESS;
}

static int transferred(struct block_request *request, int32_t result)
{
	const struct block_overlay *overlay = overlay_of(request);
	uint64_t bytes = bytes_done(request, (uint64_t)result);

	if (bytes == 0) /* a write of less than a block: the host has no space for more */
		return fail(request, result > 0 ? ENOSPC : 0);
	if (request->type == VIRTIO_BLK_T_IN)
		request->written += (uint32_t)bytes;
	else if (overlay == NULL || overlay->is_kept)
		request->store->writes++;
	request->offset += bytes;
	request->remaining -= bytes;
	request->has_copy = false;
	iov_skip(&request->data, bytes);
	return request->remaining == 0 ? all_done(request) : BLOCK_IN_PROGRESS;
}

int block_step_done(struct block_request *request, int32_t result)
{
	mend(request);
	if (result == -EINTR)
		return BLOCK_IN_PROGRESS;
	if (lacks_method(request, result))
		return without_method(request, result);
	if (result < 0)
		return fail(request, -result);
	if (request->step == BLOCK_SYNC || request->step == BLOCK_STORE)
		return flush_step_done(request, result);
	return request->step == BLOCK_COPY ? copied(request, result) : transferred(request, result);
}
