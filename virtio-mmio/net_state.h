/* SPDX-License-Identifier: MIT */
/* What a snapshot keeps of a NIC beside its queues. */
#ifndef VIRTIO_MMIO_NET_STATE_H
#define VIRTIO_MMIO_NET_STATE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/error.h"
#include "virtio-mmio/net.h"
#include "virtio-mmio/rx_pool.h"

struct net_state {
	uint8_t mac[6];
	uint16_t mtu, link_status;
	struct rx_pool_state pool;
	uint16_t reserved[3];
};
static_assert(sizeof(struct net_state) == 274, "a file's format");

/* Whether nothing of it is in flight. Ring's thread. */
bool net_is_at_rest(const struct net *net);

/* Whether a stream's peer has got all that the guest has sent. */
bool net_has_sent(const struct net *net);

/* At rest, on the ring's thread. Frames of a stream that the guest had no buffer for are not kept, as on a wire. */
void net_save(const struct net *net, struct net_state *state);

/* After virtio_transport_restore(), before ring_start(), and where interrupts already reach the guest. It has the MAC address
 * that the guest knows; link and MTU are the new ones, and the guest is told if they are others. A chain that is no buffer any
 * more breaks the device, as it would have. False: no guest gets a NIC there. */
bool net_restore(struct net *net, const struct net_state *state, struct error_text *error);

#endif
