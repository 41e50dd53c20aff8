/* SPDX-License-Identifier: MIT */
/* One request of a disk: its chain is checked, and steps are made of it until there is an answer. It knows no queue and
 * no other request. */
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

/* The most of a request's data that is on the ring at once. */
#define BLOCK_STEP_BYTES ((uint64_t)1 << 20)

/* Instead of a VIRTIO_BLK_S_ status: the request has a step to be put on the ring. */
#define BLOCK_IN_PROGRESS (-1)

struct block_lane;

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
	enum zero_method zero_method;
	uint64_t writes, flushed_writes; /* completed, and of these on stable storage */
};

struct block_request {
	struct block_request *next; /* free, or waiting */
	struct ring_op op;
	struct block_store *store;
	struct block_lane *lane; /* of the step on the ring, or waiting; NULL: unbounded */
	unsigned cost;           /* of the step, in its lane */
	uint32_t generation;     /* of the device when the request was taken */
	uint32_t type;           /* VIRTIO_BLK_T_ */
	uint8_t *status;         /* the chain's last byte */
	uint64_t offset;         /* in the image, of what is still to be done */
	uint64_t remaining;      /* bytes still to be done */
	uint32_t written;        /* bytes written to the guest, without the status */
	uint64_t writes_before;  /* for a flush: writes completed when it began */
	enum zero_method zero_method;
	struct iov data; /* what is still to be done, inside chain.buffers */
	struct virtqueue_chain chain;
};

/* Checks request->chain. *status is the answer, or BLOCK_IN_PROGRESS. False: the chain has no room for header and
 * status, which breaks the device. */
bool block_request_begin(struct block_request *request, int *status);

/* Makes it a flush of all that is written by now, which no guest has asked for. */
void block_request_make_flush(struct block_request *request);

/* Writes the next step to `sqe`. */
void block_request_prepare(struct block_request *request, struct io_uring_sqe *sqe);

/* Whether the next step writes data to the image. */
bool block_request_is_write(const struct block_request *request);

/* Takes a step's result: returns the answer, or BLOCK_IN_PROGRESS where there is another step. */
int block_request_step_done(struct block_request *request, int32_t result);

/* Reports the disk's first error on stderr; 0 stands for an end of file. Returns the answer for the guest. */
int block_request_fail(struct block_request *request, int error);

#endif
