/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/net.h"

#include <linux/if_tun.h>
#include <linux/virtio_ids.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "host/clock.h"
#include "host/container_of.h"
#include "virtio-mmio/net_header.h"

/* An offload of the host's TUN, and the features that it lets the device offer: for frames to the guest, and for frames
 * from it. */
static const struct {
	uint32_t tun;
	unsigned guest_feature, host_feature;
} offload_table[] = {
	{ TUN_F_CSUM, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_CSUM },
	{ TUN_F_TSO4, VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_HOST_TSO4 },
	{ TUN_F_TSO6, VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_HOST_TSO6 },
	{ TUN_F_UFO, VIRTIO_NET_F_GUEST_UFO, VIRTIO_NET_F_HOST_UFO },
	{ TAP_F_USO4, NET_F_GUEST_USO4, NET_F_HOST_USO },
	{ TAP_F_USO6, NET_F_GUEST_USO6, NET_F_HOST_USO },
};
#define OFFLOADS (sizeof(offload_table) / sizeof(offload_table[0]))

/* Every program of the host that listens to its network hears of a change: a guest that makes many waits between them. */
#define CHANGE_MS 100
#define BURST_MS  2000

static struct net *net_of(struct virtio_device *device)
{
	return container_of(device, struct net, device);
}

static void queue_notify(struct virtio_device *device, unsigned queue)
{
	if (queue == NET_RX)
		net_rx_continue(&net_of(device)->rx);
	else
		net_tx_take(&net_of(device)->tx);
}

static void reset(struct virtio_device *device)
{
	struct net *net = net_of(device);

	net_tx_reset(&net->tx);
	net_rx_reset(&net->rx); /* not told to the TAP: no frame is read from it */
}

/* The driver is about to start: the TAP may hand over what it has accepted. */
static void activate(struct virtio_device *device)
{
	struct net *net = net_of(device);
	uint32_t offloads = 0;

	for (size_t i = 0; i < OFFLOADS; i++)
		if (virtio_device_has_feature(device, offload_table[i].guest_feature))
			offloads |= offload_table[i].tun;
	if (!(offloads & TUN_F_CSUM))
		offloads = 0; /* virtio 1.2, 5.1.3.1: the others need it */
	atomic_store(&net->offloads_wanted, offloads & net->link.tap->offloads);
}

static void pause_before_change(struct net *net)
{
	int64_t now_ms = clock_now_ms(), ahead_ms = net->next_change_ms - now_ms;

	if (ahead_ms < 0)
		ahead_ms = 0;
	net->next_change_ms = now_ms + ahead_ms + CHANGE_MS;
	if (ahead_ms > BURST_MS)
		clock_pause_ms((int)(ahead_ms - BURST_MS));
}

/* TUNSETOFFLOAD waits for whoever changes the host's network, and notifies all of it: so without the device's lock, and
 * only for a change. Earlier frames that need an offload that the driver lacks are dropped. A vCPU that changes the wish
 * again waits here first, so the loop ends. */
static void activated(struct virtio_device *device)
{
	struct net *net = net_of(device);
	uint32_t wanted;

	pthread_mutex_lock(&net->telling);
	while ((wanted = atomic_load(&net->offloads_wanted)) != net->offloads_told) {
		pause_before_change(net);
		tap_set_offloads(net->link.tap, wanted); /* it fails where the interface is gone */
		net->offloads_told = wanted;
	}
	pthread_mutex_unlock(&net->telling);
}

static const struct virtio_device_type net_type = {
	.name = "net",
	.device_id = VIRTIO_ID_NET,
	.n_queues = NET_QUEUES,
	.queue_notify = queue_notify,
	.activate = activate,
	.activated = activated,
	.reset = reset,
};

static void stream_notify(struct virtio_device *device, unsigned queue)
{
	if (queue == NET_RX)
		net_stream_deliver(&net_of(device)->stream);
	else
		net_stream_take(&net_of(device)->stream);
}

static void stream_reset(struct virtio_device *device)
{
	net_stream_reset(&net_of(device)->stream);
}

static const struct virtio_device_type stream_type = {
	.name = "net",
	.device_id = VIRTIO_ID_NET,
	.n_queues = NET_QUEUES,
	.queue_notify = stream_notify,
	.reset = stream_reset,
};

/* offloads: the host's, TUN_F_ bits. */
static void announce(struct net *net, uint32_t offloads, const uint8_t mac[6], uint16_t mtu)
{
	struct virtio_device *device = &net->device;

	device->offered_features = VIRTIO_FEATURE(VIRTIO_NET_F_MAC) |
				   VIRTIO_FEATURE(VIRTIO_NET_F_STATUS) |
				   VIRTIO_FEATURE(VIRTIO_NET_F_MRG_RXBUF);
	for (size_t i = 0; i < OFFLOADS; i++)
		if (offloads & offload_table[i].tun)
			device->offered_features |= VIRTIO_FEATURE(offload_table[i].guest_feature) |
						    VIRTIO_FEATURE(offload_table[i].host_feature);
	net->link.config.mtu = mtu;
	if (mtu != 0)
		device->offered_features |= VIRTIO_FEATURE(VIRTIO_NET_F_MTU);
	memcpy(net->link.config.mac, mac, sizeof(net->link.config.mac));
	device->config = (const uint8_t *)&net->link.config;
	device->config_bytes =
		offsetof(struct virtio_net_config, mtu) + sizeof(net->link.config.mtu);
}

void net_make_mac(uint8_t mac[6], const char *name, unsigned index)
{
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */

	for (const char *at = name; *at != '\0'; at++)
		hash = (hash ^ (uint8_t)*at) * 0x100000001b3;
	hash = (hash ^ index) * 0x100000001b3;
	for (unsigned i = 0; i < 6; i++)
		mac[i] = (uint8_t)(hash >> (8 * i + 8));
	mac[0] = (uint8_t)((mac[0] & ~1u) | 2u); /* unicast, locally administered */
}

void net_init(struct net *net, const struct tap *tap, const uint8_t mac[6], uint16_t mtu,
	      const struct guest_memory *memory, struct ring *ring)
{
	virtio_device_init(&net->device, &net_type, memory, ring);
	net_link_init(&net->link, &net->device, tap, tap->name);
	pthread_mutex_init(&net->telling, NULL);
	net->offloads_told = tap->offloads;
	net_rx_init(&net->rx, &net->link);
	net_tx_init(&net->tx, &net->link);
	announce(net, tap->offloads, mac, mtu != 0 ? mtu : tap->mtu);
}

void net_init_stream(struct net *net, struct frame_socket *socket, const char *name,
		     const uint8_t mac[6], uint16_t mtu, const struct guest_memory *memory,
		     struct ring *ring)
{
	virtio_device_init(&net->device, &stream_type, memory, ring);
	net_link_init(&net->link, &net->device, NULL, name);
	net_stream_init(&net->stream, &net->link, socket);
	announce(net, 0, mac, mtu);
}

void net_start(struct net *net)
{
	if (net->device.type != &stream_type)
		return;
	virtio_device_lock(&net->device); /* the guest runs already */
	net_stream_start(&net->stream);
	virtio_device_unlock(&net->device);
}
