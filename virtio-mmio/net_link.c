/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/net_link.h"

#include "host/container_of.h"
#include "host/message.h"

/* Without the lock: whoever reads stderr may stall. */
static void tell(struct ring_task *task)
{
	const struct net_link *link = container_of(task, struct net_link, news_task);

	warn("net %s: %s; the guest's link is %s", link->name, link->news,
	     link->down ? "down" : "up");
}

void net_link_init(struct net_link *link, struct virtio_device *device, const struct tap *tap,
		   const char *name)
{
	*link = (struct net_link){
		.device = device,
		.tap = tap,
		.name = name,
		.config.status = VIRTIO_NET_S_LINK_UP,
		.news_task.run = tell,
	};
}

void net_link_set(struct net_link *link, bool up, const char *news)
{
	if (link->down == !up)
		return;
	link->down = !up;
	link->news = news;
	ring_after_batch(link->device->ring, &link->news_task);
	link->config.status ^= VIRTIO_NET_S_LINK_UP;
	virtio_device_config_changed(link->device);
}

void net_link_lose_tap(struct net_link *link)
{
	net_link_set(link, false, "the interface was removed");
}
