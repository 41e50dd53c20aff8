/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/net_link.h"

#include "host/container_of.h"
#include "host/message.h"

/* Without the lock: whoever reads stderr may stall. */
static void report_gone(struct ring_task *task)
{
	const struct net_link *link = container_of(task, struct net_link, gone_task);

	warn("net %s: the interface was removed; the guest's link is down", link->tap->name);
}

void net_link_init(struct net_link *link, struct virtio_device *device, const struct tap *tap)
{
	*link = (struct net_link){
		.device = device,
		.tap = tap,
		.config.status = VIRTIO_NET_S_LINK_UP,
		.gone_task.run = report_gone,
	};
}

void net_link_set_gone(struct net_link *link)
{
	if (link->gone)
		return;
	link->gone = true;
	ring_after_batch(link->device->ring, &link->gone_task);
	link->config.status &= (uint16_t)~VIRTIO_NET_S_LINK_UP;
	virtio_device_config_changed(link->device);
}
