/* SPDX-License-Identifier: MIT */
/* Sends frames as fast as the device takes them, or counts those that come. Words of the command line: op=send or
 * receive, bytes=N of each frame, kticks=N. */
#include "io_bench.h"
#include "rt/net.h"

#define ETHERTYPE_EXPERIMENTAL 0x88b5u /* IEEE 802, "local experimental" */

static struct net net;
static uint8_t frame[NET_FRAME_MAX];

static uint64_t send_frames(uint32_t bytes, uint64_t end)
{
	struct virtio_queue *queue = &net.queues[NET_TX];
	uint64_t count = 0;
	uint32_t length;

	for (uint16_t slot = 0; slot < VIRTIO_QUEUE_SIZE; slot++) {
		memset(net.tx[slot], 0, NET_HEADER_BYTES);
		memcpy(net.tx[slot] + NET_HEADER_BYTES, frame, bytes);
		virtio_offer_one(queue, slot, net.tx[slot], NET_HEADER_BYTES + bytes, 0);
	}
	virtio_kick(&net.device, queue);
	while (read_tsc() < end) {
		int head = virtio_take(queue, &length);
		if (head < 0)
			continue;
		for (; head >= 0; head = virtio_take(queue, &length), count++)
			virtio_offer(queue, (uint16_t)head);
		virtio_kick(&net.device, queue);
	}
	return count;
}

static uint64_t receive_frames(uint64_t end)
{
	struct virtio_queue *queue = &net.queues[NET_RX];
	uint64_t count = 0;
	uint32_t length;

	while (read_tsc() < end) {
		int head = virtio_take(queue, &length);
		if (head < 0)
			continue;
		for (; head >= 0; head = virtio_take(queue, &length), count++)
			virtio_offer(queue, (uint16_t)head);
		virtio_kick(&net.device, queue);
	}
	return count;
}

void guest_main(const uint8_t *zero_page)
{
	const char *op = cmdline_value(zero_page, "op=");
	uint32_t bytes = (uint32_t)cmdline_number(zero_page, "bytes=", 64);
	bool sends = op != NULL && op[0] == 's';

	if (bytes < 60 || bytes > NET_FRAME_MAX - NET_HEADER_BYTES ||
	    !net_start(&net, device_index(zero_page), FEATURE_NET_MAC))
		give_up("start");
	memset(frame, 0xff, 6);
	memcpy(frame + 6, net.mac, 6);
	frame[12] = ETHERTYPE_EXPERIMENTAL >> 8;
	frame[13] = ETHERTYPE_EXPERIMENTAL & 0xff;
	uint64_t end = measure_begin(zero_page);
	measure_end(sends ? send_frames(bytes, end) : receive_frames(end));
	guest_reset();
}
