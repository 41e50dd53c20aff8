/* SPDX-License-Identifier: MIT */
#include "rt/vsock.h"

#include "rt/rt.h"

#define DEVICE_ID_VSOCK 19u

bool vsock_start_without_buffers(struct vsock *vsock, unsigned index, uint64_t features)
{
	if (!virtio_start(&vsock->device, index, DEVICE_ID_VSOCK, features, vsock->queues,
			  VSOCK_QUEUES))
		return false;
	vsock->cid = virtio_read(&vsock->device, REG_CONFIG) |
		     (uint64_t)virtio_read(&vsock->device, REG_CONFIG + 4) << 32;
	vsock->n_sent = 0;
	return true;
}

bool vsock_start(struct vsock *vsock, unsigned index, uint64_t features)
{
	if (!vsock_start_without_buffers(vsock, index, features))
		return false;
	for (uint16_t i = 0; i < VIRTIO_QUEUE_SIZE; i++)
		virtio_offer_one(&vsock->queues[VSOCK_RX], i, &vsock->rx[i], sizeof(vsock->rx[i]),
				 DESC_WRITE);
	virtio_kick(&vsock->device, &vsock->queues[VSOCK_RX]);
	return true;
}

struct vsock_packet *vsock_receive(struct vsock *vsock)
{
	uint32_t length;
	int head = virtio_take(&vsock->queues[VSOCK_RX], &length);

	return head < 0 ? NULL : &vsock->rx[(uint32_t)head % VIRTIO_QUEUE_SIZE];
}

void vsock_done(struct vsock *vsock, struct vsock_packet *packet)
{
	virtio_offer(&vsock->queues[VSOCK_RX], (uint16_t)(packet - vsock->rx));
	virtio_kick(&vsock->device, &vsock->queues[VSOCK_RX]);
}

struct vsock_packet *vsock_prepare(struct vsock *vsock)
{
	struct virtio_queue *queue = &vsock->queues[VSOCK_TX];
	uint16_t slot = vsock->n_sent % VIRTIO_QUEUE_SIZE;
	uint16_t unused = (uint16_t)(queue->avail.index - queue->seen_used);

	/* All are waited for before one is used again. */
	if (slot == 0 && unused > 0 && !virtio_wait(queue, unused))
		return NULL;
	vsock->n_sent++;
	return &vsock->tx[slot];
}

void vsock_send(struct vsock *vsock, struct vsock_packet *packet)
{
	packet->src_cid = vsock->cid;
	packet->dst_cid = VSOCK_HOST_CID;
	packet->type = VSOCK_STREAM;
	virtio_offer_one(&vsock->queues[VSOCK_TX], (uint16_t)(packet - vsock->tx), packet,
			 VSOCK_HEADER_BYTES + packet->length, 0);
	virtio_kick(&vsock->device, &vsock->queues[VSOCK_TX]);
}
