/* SPDX-License-Identifier: MIT */
/* From the TAP to the guest. On the ring's thread with the device locked. */
#ifndef VIRTIO_MMIO_NET_RX_H
#define VIRTIO_MMIO_NET_RX_H

#include <stdbool.h>
#include <stdint.h>

#include "host/ring.h"
#include "virtio-mmio/net_frame.h"
#include "virtio-mmio/net_link.h"
#include "virtio-mmio/rx_pool.h"

#define NET_MAX_READS 16u

/* One frame to come: a read from the TAP into the buffers that it may need. */
struct net_read {
	struct ring_op op;
	struct net_rx *rx;
	uint32_t generation;
	struct net_frame frame; /* and behind it the overflow */
};

struct net_rx {
	struct net_link *link;
	struct ring_op poll_op;
	bool polling;         /* for a frame to read */
	unsigned batch_reads; /* how many reads to prepare when there is one */
	unsigned reads_in_flight, frames_read;
	struct rx_pool pool;
	struct net_read reads[NET_MAX_READS];
	uint8_t overflow
		[NET_MAX_FRAME_BYTES]; /* what does not fit the guest's buffers is dropped */
};

void net_rx_init(struct net_rx *rx, struct net_link *link);

/* On a vCPU's thread. */
void net_rx_reset(struct net_rx *rx);

/* Waits for a frame, if the guest has buffers for it. */
void net_rx_continue(struct net_rx *rx);

#endif
