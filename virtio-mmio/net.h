/* SPDX-License-Identifier: MIT */
/* virtio-net (virtio 1.2, 5.1) on a TAP or a stream socket, through the ring. */
#ifndef VIRTIO_MMIO_NET_H
#define VIRTIO_MMIO_NET_H

#include <pthread.h>
#include <stdint.h>

#include "host/ring.h"
#include "host/tap.h"
#include "virtio-mmio/net_link.h"
#include "virtio-mmio/net_rx.h"
#include "virtio-mmio/net_stream.h"
#include "virtio-mmio/net_tx.h"
#include "virtio-mmio/virtio_device.h"

struct net {
	struct virtio_device device;
	struct net_link link;
	_Atomic uint32_t offloads_wanted; /* by the driver */
	pthread_mutex_t telling;          /* for vCPU threads only: TUNSETOFFLOAD waits */
	uint32_t offloads_told;           /* to the TAP; under `telling`, as the next */
	int64_t next_change_ms;           /* CLOCK_MONOTONIC, if there were no bursts */
	struct net_rx rx;
	struct net_tx tx;
	struct net_stream stream; /* instead of what a TAP needs */
};

/* `tap` stays valid, and its owner closes it. mtu 0: the interface's own. Before ring_start(). */
void net_init(struct net *net, const struct tap *tap, const uint8_t mac[6], uint16_t mtu,
	      const struct guest_memory *memory, struct ring *ring);

/* The same with a stream, without offloads: the peer sees frames only. `name` stays valid. mtu 0: the driver chooses. */
void net_init_stream(struct net *net, struct frame_socket *socket, const char *name,
		     const uint8_t mac[6], uint16_t mtu, const struct guest_memory *memory,
		     struct ring *ring);

/* Receives from now on, if it is a stream: after ring_start(). A TAP waits for the driver. */
void net_start(struct net *net);

/* A locally administered address, always the same for the same interface name and number of the NIC,
 * another for any other. */
void net_make_mac(uint8_t mac[6], const char *name, unsigned index);

#endif
