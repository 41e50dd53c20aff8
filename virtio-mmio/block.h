/* virtio-blk (virtio 1.2, 5.2) on the ring. */
#ifndef VIRTIO_MMIO_BLOCK_H
#define VIRTIO_MMIO_BLOCK_H

#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/ring.h"
#include "virtio-mmio/block_image.h"
#include "virtio-mmio/queue.h"
#include "virtio-mmio/virtio_device.h"

/* The most that one discard or write-zeroes may cover: 1 GiB. */
#define BLOCK_MAX_RANGE_SECTORS (1u << 21)

/* Instead of a VIRTIO_BLK_S_ status: a step of the request is on the ring. */
#define BLOCK_IN_PROGRESS (-1)

struct block;

/* How zeroes get into the image; the next one is tried where the file system lacks one. */
enum zero_method {
	ZERO_BY_RANGE, /* FALLOC_FL_ZERO_RANGE */
	ZERO_BY_PUNCH, /* FALLOC_FL_PUNCH_HOLE */
	ZERO_BY_WRITE,
};

/* One request of the guest, from the pool of its disk. */
struct block_request {
	struct ring_op op; /* first: the completion finds the request by it */
	struct block *block;
	struct block_request *next_free;
	uint32_t generation;    /* of the device when the request was taken */
	uint32_t type;          /* VIRTIO_BLK_T_ */
	uint8_t *status;        /* the chain's last byte */
	uint64_t offset;        /* in the image, of what is still to be done */
	uint64_t remaining;     /* bytes still to be done */
	uint32_t written;       /* bytes written to the guest, without the status */
	uint64_t writes_before; /* for a flush: writes completed when it began */
	enum zero_method zero_method;
	struct iovec *data; /* what is still to be done, inside chain.buffers */
	unsigned n_data;
	struct virtqueue_chain chain;
};

struct block {
	struct virtio_device device; /* first: the callbacks find the disk by it */
	struct block_image image;
	struct virtio_blk_config config;
	struct ring *ring;
	int slot;
	enum zero_method zero_method;
	bool starved; /* requests wait because the pool is empty */
	bool error_reported, final_flush_failed;
	uint64_t writes, flushed_writes; /* completed, and of these on stable storage */
	struct ring_task signal_task;
	struct block_request *free_requests;
	unsigned fresh_requests; /* how many of requests[] were ever used */
	struct block_request requests[VIRTQUEUE_MAX_SIZE];
};

/* Takes over `image`. Before ring_start(). */
void block_init(struct block *block, const struct block_image *image,
		const struct guest_memory *memory, struct ring *ring);

/* Whether requests are on their way to or from the host. Ring's thread. */
bool block_is_busy(const struct block *block);

/* After the vCPUs have stopped: begins to write what the guest has written but not flushed to stable
 * storage, if there is any. block_is_busy() until that is done. */
void block_start_final_flush(struct block *block);

/* Checks request->chain and starts it. *status is the answer, or BLOCK_IN_PROGRESS. False: the chain
 * has no room for header and status, which breaks the device. */
bool block_request_begin(struct block_request *request, int *status);

/* Prepares the request's next step on the ring. */
void block_request_submit(struct block_request *request);

/* Takes a step's result: returns the answer, or BLOCK_IN_PROGRESS with another step on the ring. */
int block_request_step_done(struct block_request *request, int32_t result);

/* Reports the disk's first error on stderr; 0 stands for an end of file. Returns the answer for the
 * guest. */
int block_request_fail(struct block_request *request, int error);

#endif
