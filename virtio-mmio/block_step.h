/* SPDX-License-Identifier: MIT */
/* The operations that do a request: planned, prepared for the ring, and what comes of each. */
#ifndef VIRTIO_MMIO_BLOCK_STEP_H
#define VIRTIO_MMIO_BLOCK_STEP_H

#include <stdint.h>

#include <liburing.h>

#include "virtio-mmio/block_request.h"

/* The most of a request's data that is on the ring at once. */
#define BLOCK_STEP_BYTES ((uint64_t)1 << 20)

/* Chooses the request's next step: its kind, file and length. */
void block_step_plan(struct block_request *request);

/* Writes the planned step to `sqe`. May be done again. */
void block_step_prepare(struct block_request *request, struct io_uring_sqe *sqe);

/* Takes the step's result: returns the answer, or BLOCK_IN_PROGRESS where there is another step. */
int block_step_done(struct block_request *request, int32_t result);

#endif
