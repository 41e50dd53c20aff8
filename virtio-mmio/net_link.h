/* SPDX-License-Identifier: MIT */
/* A NIC's link: what the host has behind it, and whether that is there. */
#ifndef VIRTIO_MMIO_NET_LINK_H
#define VIRTIO_MMIO_NET_LINK_H

#include <linux/virtio_net.h>
#include <stdbool.h>

#include "host/ring.h"
#include "host/tap.h"
#include "virtio-mmio/virtio_device.h"

/* The largest frame that offloads allow, with its header. */
#define NET_MAX_FRAME_BYTES (TAP_HEADER_BYTES + 14u + 4u + 65535u)

enum net_queue {
	NET_RX,
	NET_TX,
	NET_QUEUES
};

struct net_link {
	struct virtio_device *device;
	const struct tap *tap;   /* NULL: a stream */
	const char *name, *news; /* for messages */
	struct virtio_net_config config;
	bool down;
	struct ring_task news_task;
};

/* The link is up. */
void net_link_init(struct net_link *link, struct virtio_device *device, const struct tap *tap,
		   const char *name);

/* Tells the driver, and on stderr that `news`, which stays valid, is why. On the ring's thread with the device locked. */
void net_link_set(struct net_link *link, bool up, const char *news);

/* The TAP does not exist any more. */
void net_link_lose_tap(struct net_link *link);

#endif
