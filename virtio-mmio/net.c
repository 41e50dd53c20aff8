#include "virtio-mmio/net.h"

#include <linux/if_tun.h>
#include <linux/virtio_ids.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "host/container_of.h"
#include "host/message.h"

#define FEATURE(bit) ((uint64_t)1 << (bit))

/* Linux 6.2; older headers do not have them. */
#define NET_F_GUEST_USO4 54
#define NET_F_GUEST_USO6 55
#define NET_F_HOST_USO   56

/* What an offload of the host's TUN lets the device offer, and which feature asks for it: frames to
 * the guest as they come, and frames from the guest as they are. */
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

static struct net *net_of(struct virtio_device *device)
{
	return container_of(device, struct net, device);
}

static void signal_guest(struct ring_task *task)
{
	struct net *net = container_of(task, struct net, signal_task);

	virtio_device_lock(&net->device);
	if (virtio_device_is_live(&net->device))
		for (unsigned i = 0; i < NET_QUEUES; i++)
			if (net->device.queues[i].ready)
				virtio_device_signal(&net->device, &net->device.queues[i]);
	virtio_device_unlock(&net->device);
}

void net_signal_later(struct net *net)
{
	ring_after_batch(net->ring, &net->signal_task);
}

/* Without the lock: whoever reads stderr may stand still. */
static void report_gone(struct ring_task *task)
{
	const struct net *net = container_of(task, struct net, gone_task);

	warn("net %s: the interface was removed; the guest's link is down", net->tap.name);
}

void net_set_gone(struct net *net)
{
	if (net->gone)
		return;
	net->gone = true;
	ring_after_batch(net->ring, &net->gone_task);
	net->config.status &= (uint16_t)~VIRTIO_NET_S_LINK_UP;
	virtio_device_config_changed(&net->device);
}

static void queue_notify(struct virtio_device *device, unsigned queue)
{
	if (queue == NET_RX)
		net_rx_continue(net_of(device));
	else
		net_tx_take(net_of(device));
}

static void reset(struct virtio_device *device)
{
	struct net *net = net_of(device);

	net->tx_starved = false;
	net_rx_reset(net); /* the TAP need not know: nobody reads from it */
}

/* The driver is about to start: the TAP may hand over what it has accepted. */
static void activate(struct virtio_device *device)
{
	struct net *net = net_of(device);
	uint32_t offloads = 0;

	for (size_t i = 0; i < OFFLOADS; i++)
		if (device->features & FEATURE(offload_table[i].guest_feature))
			offloads |= offload_table[i].tun;
	if (!(offloads & TUN_F_CSUM))
		offloads = 0; /* virtio 1.2, 5.1.3.1: the others need it */
	atomic_store(&net->offloads_wanted, offloads & net->tap.offloads);
}

/* TUNSETOFFLOAD waits for whoever changes the host's network, and tells all of it about the change: without
 * the device's lock, and only if there is one. Frames that come before it and need what the driver
 * lacks are dropped. A vCPU that changes the wish again waits here first, so this ends. */
static void activated(struct virtio_device *device)
{
	struct net *net = net_of(device);
	uint32_t wanted;

	pthread_mutex_lock(&net->telling);
	while ((wanted = atomic_load(&net->offloads_wanted)) != net->offloads_told) {
		tap_set_offloads(&net->tap, wanted); /* it fails where the interface is gone */
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

static void announce(struct net *net, const uint8_t mac[6], uint16_t mtu)
{
	struct virtio_device *device = &net->device;

	device->offered_features = FEATURE(VIRTIO_NET_F_MAC) | FEATURE(VIRTIO_NET_F_STATUS) |
				   FEATURE(VIRTIO_NET_F_MRG_RXBUF);
	for (size_t i = 0; i < OFFLOADS; i++)
		if (net->tap.offloads & offload_table[i].tun)
			device->offered_features |= FEATURE(offload_table[i].guest_feature) |
						    FEATURE(offload_table[i].host_feature);
	net->config.mtu = mtu != 0 ? mtu : net->tap.mtu;
	if (net->config.mtu != 0)
		device->offered_features |= FEATURE(VIRTIO_NET_F_MTU);
	memcpy(net->config.mac, mac, sizeof(net->config.mac));
	net->config.status = VIRTIO_NET_S_LINK_UP;
	device->config = (const uint8_t *)&net->config;
	device->config_bytes = offsetof(struct virtio_net_config, mtu) + sizeof(net->config.mtu);
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
	virtio_device_init(&net->device, &net_type, memory);
	net->tap = *tap;
	net->ring = ring;
	net->signal_task.run = signal_guest;
	net->gone_task.run = report_gone;
	pthread_mutex_init(&net->telling, NULL);
	net->offloads_told = tap->offloads;
	net_rx_init(net);
	net_tx_init(net);
	announce(net, mac, mtu);
}
