/* virtio-blk (virtio 1.2, 5.2) on the ring. */
#ifndef VIRTIO_MMIO_BLOCK_H
#define VIRTIO_MMIO_BLOCK_H

#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/exit_request.h"
#include "host/refusal.h"
#include "host/ring.h"
#include "virtio-mmio/block_image.h"
#include "virtio-mmio/iov.h"
#include "virtio-mmio/pool.h"
#include "virtio-mmio/queue.h"
#include "virtio-mmio/virtio_device.h"

/* The most that one discard or write-zeroes may cover: 1 GiB. */
#define BLOCK_MAX_RANGE_SECTORS (1u << 21)

/* How many of a disk's operations may have a worker of the kernel at once (block_workers.c). With 4 random reads of an
 * image on tmpfs or overlayfs, which all need one, came to two thirds. */
#define BLOCK_MAX_WORKERS 8u

/* How many reads that need no worker a disk may have on the ring at once; long ones count as several (block_workers.c). */
#define BLOCK_MAX_INLINE 32u

/* As much of a request's data as goes on the ring at once. */
#define BLOCK_STEP_BYTES ((uint64_t)1 << 20)

/* Instead of a VIRTIO_BLK_S_ status: a step of the request is on the ring. */
#define BLOCK_IN_PROGRESS (-1)

struct block;

/* How zeroes get into the image; the next one is tried where the file system lacks one. */
enum zero_method {
	ZERO_BY_RANGE, /* FALLOC_FL_ZERO_RANGE */
	ZERO_BY_PUNCH, /* FALLOC_FL_PUNCH_HOLE */
	ZERO_BY_WRITE,
};

/* A disk's operations of one kind: at most `limit` are on the ring, the others wait in their order. */
struct block_lane {
	unsigned n, limit; /* costs */
	struct block_request *first, **end;
};

/* One request of the guest, from the pool of its disk. */
struct block_request {
	struct block_request *next; /* free, or waiting */
	struct ring_op op;
	struct block *block;
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

struct block {
	struct virtio_device device;
	struct block_image image;
	struct virtio_blk_config config;
	struct ring *ring;
	struct exit_request *exit;
	enum zero_method zero_method;
	bool starved; /* requests wait because the pool is empty */
	bool error_reported, final_flush_failed;
	uint64_t writes, flushed_writes; /* completed, and of these on stable storage */
	struct ring_task signal_task;
	struct ring_op head_op;
	char head[BLOCK_HEAD_BYTES];
	struct block_lane worker_lane; /* what may need a worker */
	struct block_lane inline_lane; /* reads that need none */
	struct ring_op retry_op;       /* a timer, for what the host refused */
	bool retry_pending;
	struct refusal refusal; /* of operations that need a worker */
	struct pool free_requests;
	struct block_request requests[VIRTQUEUE_MAX_SIZE];
};

/* Takes over `image`. Before ring_start(). A host that does not work any more ends the VM by `exit`. */
void block_init(struct block *block, const struct block_image *image,
		const struct guest_memory *memory, struct ring *ring, struct exit_request *exit);

/* After ring_start(), on the ring's thread. */
void block_start(struct block *block);

/* Whether requests wait for the host, or are on their way to or from it. Ring's thread. */
bool block_is_busy(const struct block *block);

/* After the vCPUs have stopped: begins to write what the guest has written but not flushed to stable
 * storage, if there is any. block_is_busy() until that is done. */
void block_start_final_flush(struct block *block);

/* Checks request->chain and starts it. *status is the answer, or BLOCK_IN_PROGRESS. False: the chain
 * has no room for header and status, which breaks the device. */
bool block_request_begin(struct block_request *request, int *status);

/* Before the first request. */
void block_lanes_init(struct block *block);

/* Has the request's next step done: at once, or when its lane has room. */
void block_request_submit(struct block_request *request);

/* Puts the request's next step on the ring. */
void block_request_prepare(struct block_request *request);

/* To be called first with each result. */
void block_operation_ended(struct block_request *request, int32_t result);

/* True: the host had nobody to do it, and it is tried again a little later. After a second of that it is an error like
 * others, and the VM ends. */
bool block_try_again(struct block_request *request, int32_t result);

/* To be called when a lane may have got room. */
void block_start_waiting(struct block *block);

/* The first request that waits, which does so no more; NULL if there is none. */
struct block_request *block_take_waiting(struct block *block);

/* Takes a step's result: returns the answer, or BLOCK_IN_PROGRESS with another step on the ring. */
int block_request_step_done(struct block_request *request, int32_t result);

/* Reports the disk's first error on stderr; 0 stands for an end of file. Returns the answer for the
 * guest. */
int block_request_fail(struct block_request *request, int error);

#endif
