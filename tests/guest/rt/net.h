/* SPDX-License-Identifier: MIT */
/* A poll-mode virtio-net driver (virtio 1.2, 5.1): whole frames in, whole frames out. */
#ifndef TESTS_GUEST_RT_NET_H
#define TESTS_GUEST_RT_NET_H

#include "rt/virtio.h"

#define NET_FRAME_MAX    10240u /* with an MTU of 9000, and a header in front */
#define NET_HEADER_BYTES 12u
#define NET_SMALL_BUFFER 2048u

#define FEATURE_NET_MTU       (1ull << 3)
#define FEATURE_NET_MAC       (1ull << 5)
#define FEATURE_NET_MRG_RXBUF (1ull << 15)
#define FEATURE_NET_STATUS    (1ull << 16)

enum {
	NET_RX,
	NET_TX,
	NET_QUEUES
};

struct net {
	struct virtio device;
	struct virtio_queue queues[NET_QUEUES];
	uint8_t mac[6];
	uint16_t mtu;
	uint32_t rx_bytes; /* of each receive buffer */
	uint16_t n_sent;   /* frames of the next slots, which are taken in turn */
	uint64_t wrong;    /* frames that were not as the specification has them */
	uint8_t rx[VIRTIO_QUEUE_SIZE][NET_FRAME_MAX];
	uint8_t tx[VIRTIO_QUEUE_SIZE][NET_FRAME_MAX];
};

/* Everything up to DRIVER_OK for the NIC of window `index`, with all receive buffers offered: small ones
 * with MRG_RXBUF, else such that hold the largest frame. False: something was not as it must be. */
bool net_start(struct net *net, unsigned index, uint64_t features);

/* The same in two steps. */
bool net_start_without_buffers(struct net *net, unsigned index, uint64_t features);
void net_offer_all(struct net *net);

/* A frame that has come, without its header: its length, or 0. */
uint32_t net_receive(struct net *net, uint8_t *frame);

/* Sends a frame; waits only if all slots are in use. False: they stay in use for seconds. */
bool net_send(struct net *net, const uint8_t *frame, uint32_t length);

bool net_link_is_up(const struct net *net);

#endif
