/* SPDX-License-Identifier: MIT */
/* One request of a disk: its chain is checked, and it becomes steps (block_step.h) until there is an answer. It knows no queue
 * and no other request. */
#ifndef VIRTIO_MMIO_BLOCK_REQUEST_H
#define VIRTIO_MMIO_BLOCK_REQUEST_H

#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/ring.h"
#include "virtio-mmio/block_image.h"
#include "virtio-mmio/iov.h"
#include "virtio-mmio/queue.h"

/* The most that one discard or write-zeroes may cover: 1 GiB. */
#define BLOCK_MAX_RANGE_SECTORS (1u << 21)

/* Instead of a VIRTIO_BLK_S_ status: the request has a step to be put on the ring. */
#define BLOCK_IN_PROGRESS (-1)

struct block_lane;

/* What is on the ring, or waits. */
enum block_step {
	BLOCK_READ,
	BLOCK_WRITE,
	BLOCK_RANGE, /* fallocate */
	BLOCK_SYNC,
	/* With an overlay only: */
	BLOCK_FILL,  /* a write to blocks that it has not yet */
	BLOCK_COPY,  /* a read of the base's block, part of which is to be changed */
	BLOCK_MERGE, /* the write of that block */
	BLOCK_STORE, /* a write of the overlay's bits */
};

enum flush_phase {
	FLUSH_DATA, /* all of a flush, without an overlay */
	FLUSH_BITS,
	FLUSH_END,
};

/* How zeroes get into the image; the next one is tried where the file system lacks one. */
enum zero_method {
	ZERO_BY_RANGE, /* FALLOC_FL_ZERO_RANGE */
	ZERO_BY_PUNCH, /* FALLOC_FL_PUNCH_HOLE */
	ZERO_BY_WRITE,
};

/* The state that the requests of one disk share. */
struct block_store {
	const struct block_image *image;
	bool write_through; /* the driver cannot flush: each write goes to stable storage */
	bool error_reported;
	bool flush_failed; /* the host may have dropped data: no later flush may say otherwise */
	enum zero_method zero_method;
	uint64_t writes,
		flushed_writes; /* completed, and of these on stable storage; none that nobody keeps */
};

struct block_request {
	struct block_request *next; /* free, or waiting */
	struct ring_op op;
	struct block_store *store;
	struct block_lane *lane; /* of the step on the ring, or waiting; NULL: unbounded */
	unsigned cost;           /* of the step, in its lane */
	enum block_step step;
	const struct block_image *file; /* of the step: the disk's, or the overlay's */
	uint64_t step_bytes;            /* of the request's data */
	uint32_t generation;            /* of the device when the request was taken */
	uint32_t type;                  /* VIRTIO_BLK_T_ */
	uint8_t *status;                /* the chain's last byte */
	uint64_t offset;                /* on the disk, of what is still to be done */
	uint64_t remaining;             /* bytes still to be done */
	uint32_t written;               /* bytes written to the guest, without the status */
	uint64_t writes_before;         /* for a flush: writes completed when it began */
	enum flush_phase flush_phase;
	enum zero_method zero_method;
	bool has_copy;          /* `copy` is the base's block at `offset` */
	uint8_t *copy;          /* room for one; NULL: no overlay */
	struct iovec *cut_part; /* the step ends within it: it lacks cut_bytes meanwhile */
	size_t cut_bytes;
	struct iov data; /* what is still to be done, inside chain.buffers */
	struct virtqueue_chain chain;
};

/* Checks request->chain. *status is the answer, or BLOCK_IN_PROGRESS. False: the chain has no room for header and
 * status, which breaks the device. */
bool block_request_begin(struct block_request *request, int *status);

/* Makes it a flush of all that is written by now, which no guest has asked for. */
void block_request_make_flush(struct block_request *request);

/* Reports the disk's first error on stderr; 0 stands for an end of file. Returns the answer for the guest. */
int block_request_fail(struct block_request *request, int error);

#endif
