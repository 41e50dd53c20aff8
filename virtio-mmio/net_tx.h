/* SPDX-License-Identifier: MIT */
/* From the guest to the TAP. On the ring's thread with the device locked. */
#ifndef VIRTIO_MMIO_NET_TX_H
#define VIRTIO_MMIO_NET_TX_H

#include <stdbool.h>
#include <stdint.h>

#include "host/ring.h"
#include "virtio-mmio/net_link.h"
#include "virtio-mmio/pool.h"
#include "virtio-mmio/queue.h"

/* One frame to go. */
struct net_write {
	struct net_write *next_free;
	struct ring_op op;
	struct net_tx *tx;
	uint32_t generation;
	struct virtio_net_hdr_v1 header; /* as it was checked */
	struct virtqueue_chain chain;
};

struct net_tx {
	struct net_link *link;
	bool starved; /* frames wait because the pool is empty */
	struct pool free_writes;
	struct net_write writes[VIRTQUEUE_MAX_SIZE];
};

void net_tx_init(struct net_tx *tx, struct net_link *link);

/* On a vCPU's thread. */
void net_tx_reset(struct net_tx *tx);

/* Takes the frames that are available. The device is live and the queue ready. */
void net_tx_take(struct net_tx *tx);

#endif
