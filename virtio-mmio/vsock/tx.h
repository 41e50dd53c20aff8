/* SPDX-License-Identifier: MIT */
/*
 * The transmit queue: packets from the guest. If nothing of the stream waits, data goes to the socket straight from guest
 * memory, with RWF_NOWAIT, so that a stalled reader keeps no chain. The rest, and what comes meanwhile, is copied to the
 * connection's buffer.
 */
#ifndef VIRTIO_MMIO_VSOCK_TX_H
#define VIRTIO_MMIO_VSOCK_TX_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio-mmio/pool.h"
#include "virtio-mmio/queue.h"
#include "virtio-mmio/virtio_device.h"
#include "virtio-mmio/vsock/connection.h"

/* A chain, until the guest gets it back. */
struct vsock_packet {
	struct vsock_packet *next_free; /* first: the pool's */
	struct vsock_tx *tx;
	uint32_t bytes;      /* of its data, while that is being sent from guest memory */
	uint32_t generation; /* of the device then */
	struct virtqueue_chain chain;
};

struct vsock_tx {
	struct virtio_device *device;
	unsigned queue; /* of the device */
	struct vsock_connections *all;
	uint64_t guest_cid;
	bool kicked;
	bool stalled; /* until a reply or a packet has been sent */
	struct pool pool;
	struct vsock_packet packets[VIRTQUEUE_MAX_SIZE];
};

void vsock_tx_init(struct vsock_tx *tx, struct virtio_device *device, unsigned queue,
		   struct vsock_connections *all, uint64_t guest_cid);

/* The driver has reset the device. */
void vsock_tx_reset(struct vsock_tx *tx);

static inline bool vsock_tx_has_work(const struct vsock_tx *tx)
{
	return tx->kicked || tx->stalled;
}

/* Takes packets off the queue: at most a queue's length, the rest after other work of the ring. */
void vsock_tx_run(struct vsock_tx *tx);

#endif
