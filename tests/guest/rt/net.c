/* SPDX-License-Identifier: MIT */
#include "rt/net.h"

#include "rt/rt.h"

#define DEVICE_ID_NET  1u
#define CONFIG_MAC     (REG_CONFIG + 0)
#define CONFIG_STATUS  (REG_CONFIG + 6)
#define CONFIG_MTU     (REG_CONFIG + 10)
#define LINK_UP        1u
#define HEADER_BUFFERS 10u

bool net_start_without_buffers(struct net *net, unsigned index, uint64_t features)
{
	if (!virtio_start(&net->device, index, DEVICE_ID_NET, features, net->queues, NET_QUEUES))
		return false;
	for (unsigned i = 0; i < 6; i++)
		net->mac[i] = mmio_read8(net->device.base + CONFIG_MAC + i);
	net->mtu = mmio_read16(net->device.base + CONFIG_MTU);
	net->rx_bytes = features & FEATURE_NET_MRG_RXBUF ? NET_SMALL_BUFFER : NET_FRAME_MAX;
	net->n_sent = 0;
	net->wrong = 0;
	return true;
}

void net_offer_all(struct net *net)
{
	for (uint16_t i = 0; i < VIRTIO_QUEUE_SIZE; i++)
		virtio_offer_one(&net->queues[NET_RX], i, net->rx[i], net->rx_bytes, DESC_WRITE);
	virtio_kick(&net->device, &net->queues[NET_RX]);
}

bool net_start(struct net *net, unsigned index, uint64_t features)
{
	if (!net_start_without_buffers(net, index, features))
		return false;
	net_offer_all(net);
	return true;
}

bool net_link_is_up(const struct net *net)
{
	return mmio_read16(net->device.base + CONFIG_STATUS) & LINK_UP;
}

/* The next used buffer goes behind `total` bytes of the frame, and back to the device. */
static bool take_buffer(struct net *net, uint8_t *frame, uint32_t *total, uint32_t skip)
{
	struct virtio_queue *queue = &net->queues[NET_RX];
	uint32_t length;
	int head = virtio_take(queue, &length);

	if (head < 0 || length > net->rx_bytes || length < skip ||
	    *total + length - skip > NET_FRAME_MAX)
		return false;
	memcpy(frame + *total, net->rx[head] + skip, length - skip);
	*total += length - skip;
	virtio_offer(queue, (uint16_t)head);
	return true;
}

uint32_t net_receive(struct net *net, uint8_t *frame)
{
	struct virtio_queue *queue = &net->queues[NET_RX];
	uint32_t total = 0, n = 1;
	bool good;

	if (queue->used.index == queue->seen_used)
		return 0;
	const uint8_t *first = net->rx[queue->used.ring[queue->seen_used % VIRTIO_QUEUE_SIZE].id %
				       VIRTIO_QUEUE_SIZE];
	n = first[HEADER_BUFFERS] | (uint32_t)first[HEADER_BUFFERS + 1] << 8;
	/* No offloads were negotiated: flags and gso_type are 0. */
	good = first[0] == 0 && first[1] == 0 && n > 0 &&
	       take_buffer(net, frame, &total, NET_HEADER_BYTES);
	while (good && --n > 0)
		good = take_buffer(net, frame, &total, 0);
	virtio_kick(&net->device, queue);
	if (!good)
		net->wrong++;
	return good ? total : 0;
}

bool net_send(struct net *net, const uint8_t *frame, uint32_t length)
{
	struct virtio_queue *queue = &net->queues[NET_TX];
	uint16_t slot = net->n_sent % VIRTIO_QUEUE_SIZE;
	uint16_t unused = (uint16_t)(queue->avail.index - queue->seen_used);

	/* Slots come back in order enough: all of them are waited for before one is used again. */
	if (slot == 0 && unused > 0 && !virtio_wait(queue, unused))
		return false;
	net->n_sent++;
	memset(net->tx[slot], 0, NET_HEADER_BYTES);
	memcpy(net->tx[slot] + NET_HEADER_BYTES, frame, length);
	virtio_offer_one(queue, slot, net->tx[slot], NET_HEADER_BYTES + length, 0);
	virtio_kick(&net->device, queue);
	return true;
}
