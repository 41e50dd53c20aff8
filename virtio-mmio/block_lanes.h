/* SPDX-License-Identifier: MIT */
/* A disk's operations: how many are on the ring at once, and which wait. On the ring's thread, with the device locked. */
#ifndef VIRTIO_MMIO_BLOCK_LANES_H
#define VIRTIO_MMIO_BLOCK_LANES_H

#include <stdbool.h>
#include <stdint.h>

#include "host/exit_request.h"
#include "host/refusal.h"
#include "host/ring.h"
#include "virtio-mmio/block_request.h"
#include "virtio-mmio/virtio_device.h"

/* How many of a disk's operations may have a worker of the kernel at once. With 4, random reads of an image on tmpfs or
 * overlayfs, which all need one, came to two thirds. */
#define BLOCK_MAX_WORKERS 8u

/* How many reads that need no worker a disk may have on the ring at once; long ones count as several. */
#define BLOCK_MAX_INLINE 32u

/* Operations of one kind: at most `limit` are on the ring, the others wait in their order. */
struct block_lane {
	unsigned n, limit; /* costs */
	struct block_request *first, **end;
};

struct block_lanes {
	struct virtio_device *device;
	const struct block_image *image;
	struct exit_request *exit;
	struct block_lane worker_lane; /* what may need a worker */
	struct block_lane inline_lane; /* reads that need none */
	struct block_lane fill_lane;   /* with an overlay: what changes blocks that it has not */
	struct ring_op retry_op;       /* a timer, for what the host refused */
	bool retry_pending;
	struct refusal refusal; /* of operations that need a worker */
};

/* Before the first request. Asks the device's ring for the workers. A host that makes none ends the VM by `exit`. */
void block_lanes_init(struct block_lanes *lanes, struct virtio_device *device,
		      const struct block_image *image, struct exit_request *exit);

/* Puts the request's next step on the ring: at once, or when its lane has room. */
/* How many of the kernel's workers a disk with this image may have busy. */
unsigned block_lanes_workers(const struct block_image *image);

void block_lanes_submit(struct block_lanes *lanes, struct block_request *request);

/* Called first with each result. */
void block_lanes_operation_ended(struct block_lanes *lanes, struct block_request *request,
				 int32_t result);

/* True: the host had no worker for it, and it is retried a little later. After one second it is an error like others,
 * and the VM ends. */
bool block_lanes_try_again(struct block_lanes *lanes, struct block_request *request,
			   int32_t result);

/* Called when a lane may have got room. */
void block_lanes_start_waiting(struct block_lanes *lanes);

/* Takes the first request that waits out of its lane; NULL if there is none. */
struct block_request *block_lanes_take_waiting(struct block_lanes *lanes);

/* Whether requests wait, or are on the ring. */
bool block_lanes_are_busy(const struct block_lanes *lanes);

#endif
