/* SPDX-License-Identifier: MIT */
/*
 * The device's side of a split virtqueue (virtio 1.2, 2.7).
 *
 * The rings lie in guest memory and a hostile guest may write them at any moment. Theory of
 * operation: the three parts are checked and turned into pointers once, when the driver makes the
 * queue ready; every index and descriptor is read once into a local and checked there; a chain is
 * handed to the device as an array of host pointers with lengths, so that no device ever sees a
 * guest address. A queue that breaks a rule is broken for good: the transport marks the device
 * DEVICE_NEEDS_RESET.
 */
#ifndef VIRTIO_MMIO_QUEUE_H
#define VIRTIO_MMIO_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_ring.h>

#include "mem/guest_memory.h"
#include "virtio-mmio/iov.h"

/* The longest queue, in entries, and so the longest chain, in descriptors. */
#define VIRTQUEUE_MAX_SIZE 128

struct virtqueue {
	/* Written by the driver through the transport, until ready. */
	uint16_t size;
	uint64_t desc_gpa, avail_gpa, used_gpa;
	bool ready;
	/* Valid while ready. */
	const struct guest_memory *memory;
	const struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t next_avail, next_used, signalled_used; /* free-running */
	bool event_idx, indirect;
	bool closed; /* no chain is taken any more */
};

/* A request: the buffers that the device reads, and those that it writes. Not to be copied: both lie in buffers[]. */
struct virtqueue_chain {
	uint16_t head;
	struct iov readable, writable;
	/* From the second on. The first is for a part of the device's own, in place of what it has taken off the front. */
	struct iovec buffers[1 + VIRTQUEUE_MAX_SIZE];
};

enum virtqueue_result {
	VIRTQUEUE_EMPTY,
	VIRTQUEUE_CHAIN,
	VIRTQUEUE_BROKEN,
};

/* Checks size, alignment and place of the three parts, and starts at index 0. False: the driver's
 * values are not usable. It is not closed. */
bool virtqueue_make_ready(struct virtqueue *queue, const struct guest_memory *memory,
			  bool event_idx, bool indirect);

/* Takes the next available chain. Every buffer in it lies in guest RAM and is at least 1 byte
 * long. A closed queue is empty. */
enum virtqueue_result virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain);

/* Walks a chain again that was taken before a snapshot. The queue is ready. False: it is none any more. */
bool virtqueue_take_again(const struct virtqueue *queue, uint16_t head,
			  struct virtqueue_chain *chain);

/* Asks the driver for a kick, or (EVENT_IDX) for one at the next chain. Returns whether chains have
 * become available meanwhile: then pop again. */
bool virtqueue_enable_kicks(struct virtqueue *queue);

/* Asks for a kick at the next chain that the driver adds, whatever else waits. Returns the index that tells whether it has. */
uint16_t virtqueue_await_next(struct virtqueue *queue);

/* Makes the queue look empty, until virtqueue_go_on(). Chains that were taken may still be pushed. */
void virtqueue_stop(struct virtqueue *queue);
void virtqueue_go_on(struct virtqueue *queue);

/* Spares the driver its kicks while the device polls the queue. */
void virtqueue_disable_kicks(struct virtqueue *queue);

/* Puts a chain into the used ring, with the bytes written to it, and shows it to the driver. */
void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written_bytes);

/* The same in two steps, for chains that the driver must see at once: virtqueue_put() writes number `i` (from 0) of the
 * `n` that virtqueue_publish() shows. */
void virtqueue_put(struct virtqueue *queue, uint16_t i, uint16_t head, uint32_t written_bytes);
void virtqueue_publish(struct virtqueue *queue, uint16_t n);

/* Whether the driver wants an interrupt for what was pushed since the last call. */
bool virtqueue_wants_interrupt(struct virtqueue *queue);

#endif
