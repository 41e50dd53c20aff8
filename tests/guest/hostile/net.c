/* SPDX-License-Identifier: MIT */
/* Frames, their headers and receive buffers that break the rules, on a NIC with a TAP and on one with a stream. */
#include "hostile/hostile.h"

#define FRAME_BYTES 60u
#define LARGEST     (14u + 4u + 65535u)
#define OFFLOADS    (1ull << 0 | 1ull << 11 | 1ull << 12 | 1ull << 14 | 1ull << 56)
#define TO_GUEST    (1ull << 1 | 1ull << 7 | 1ull << 8 | 1ull << 10 | 1ull << 54 | 1ull << 55)
#define NEEDS_CSUM  1u

struct header {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};

static struct net *nic_of(const struct target *target)
{
	return target->device == &tap.device ? &tap : &stream;
}

static struct virtio_queue *queue_of(const struct target *target, unsigned number)
{
	return &nic_of(target)->queues[number];
}

static void notify(const struct target *target, unsigned number)
{
	virtio_write(target->device, REG_QUEUE_NOTIFY, number);
}

/* Waits for the frame's chain. */
static void sent(const struct target *target)
{
	notify(target, NET_TX);
	if (!virtio_wait(queue_of(target, NET_TX), 1))
		fails("a frame does not come back");
}

/* A header and a frame to nobody, in one buffer. */
static void send(const struct target *target, const struct header *header, uint32_t bytes)
{
	memset(spare, 0xff, 12 + 6);
	memcpy(spare, header, sizeof(*header));
	memset(spare + 18, 2, 6);
	spare[24] = 0x88;
	spare[25] = 0xb5;
	virtio_offer_one(queue_of(target, NET_TX), 0, spare, 12 + bytes, 0);
	sent(target);
}

static void frames_of_no_length(const struct target *target)
{
	for (uint32_t bytes = 1; bytes <= 14; bytes++) {
		virtio_offer_one(queue_of(target, NET_TX), 0, spare, bytes, 0);
		sent(target);
	}
}

static void frames_too_long(const struct target *target)
{
	const struct header none = { 0 };

	send(target, &none, LARGEST);
	send(target, &none, LARGEST + 1);
	send(target, &none, BLOCK_BYTES - 12);
}

/* A queue's worth of descriptors of 256 KiB each. */
static void frame_of_32_mib(const struct target *target)
{
	struct virtio_queue *queue = queue_of(target, NET_TX);

	for (uint16_t i = 0; i < VIRTIO_QUEUE_SIZE; i++) {
		queue->desc[i].gpa = (uintptr_t)spare;
		queue->desc[i].length = BLOCK_BYTES;
		queue->desc[i].flags = i < VIRTIO_QUEUE_SIZE - 1 ? DESC_NEXT : 0;
		queue->desc[i].next = (uint16_t)(i + 1);
	}
	virtio_offer(queue, 0);
	sent(target);
}

static void frame_in_128_parts(const struct target *target)
{
	struct virtio_queue *queue = queue_of(target, NET_TX);

	memset(spare, 0, 128);
	for (uint16_t i = 0; i < VIRTIO_QUEUE_SIZE; i++) {
		queue->desc[i].gpa = (uintptr_t)spare + i;
		queue->desc[i].length = 1;
		queue->desc[i].flags = i < VIRTIO_QUEUE_SIZE - 1 ? DESC_NEXT : 0;
		queue->desc[i].next = (uint16_t)(i + 1);
	}
	virtio_offer(queue, 0);
	sent(target);
}

static void frame_in_a_written_buffer(const struct target *target)
{
	virtio_offer_one(queue_of(target, NET_TX), 0, spare, 100, DESC_WRITE);
	sent(target);
}

/* Anew with every offload that there is. */
static void start_with_offloads(const struct target *target)
{
	if (!target->start(virtio_offered(target->device) & OFFLOADS))
		fails("it does not start");
}

/* What a header may say, and what it may not. */
static void headers_of_every_kind(const struct target *target)
{
	start_with_offloads(target);
	for (unsigned type = 0; type < 256; type += type < 8 || type >= 0x80 ? 1 : 17) {
		const struct header one = { NEEDS_CSUM, (uint8_t)type, 54, 1000, 34, 16, 0 };
		send(target, &one, 2000);
		type += type > 0x88 ? 16 : 0;
	}
}

static void headers_not_negotiated(const struct target *target)
{
	static const uint8_t types[] = { 0, 1, 3, 4, 5, 0x81 };

	for (unsigned i = 0; i < sizeof(types); i++) {
		const struct header one = { NEEDS_CSUM, types[i], 54, 1000, 34, 16, 0 };
		send(target, &one, 2000);
	}
}

static void checksum_outside(const struct target *target)
{
	static const uint16_t places[][2] = { { FRAME_BYTES, 0 },     { FRAME_BYTES - 1, 0 },
					      { 0, FRAME_BYTES - 1 }, { 0xffff, 0xffff },
					      { 0xffff, 0 },          { 1, 0xffff },
					      { 0x8000, 0x8000 } };

	start_with_offloads(target);
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const struct header one = { NEEDS_CSUM, 0, 0, 0, places[i][0], places[i][1], 0 };
		send(target, &one, FRAME_BYTES);
	}
}

static void segments_of_no_size(const struct target *target)
{
	static const uint16_t sizes[] = { 0, 1, 2, 7, 8, 0x7fff, 0x8000, 0xffff };

	start_with_offloads(target);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const struct header tcp = { NEEDS_CSUM, 1, 54, sizes[i], 34, 16, 0 };
		const struct header udp = { NEEDS_CSUM, 5, 42, sizes[i], 34, 6, 0 };
		send(target, &tcp, LARGEST);
		send(target, &udp, LARGEST);
	}
}

static void header_lengths(const struct target *target)
{
	static const uint16_t lengths[] = { 1,      13,    14, 53, FRAME_BYTES, FRAME_BYTES + 1,
					    0x8000, 0xffff };

	start_with_offloads(target);
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		const struct header one = { NEEDS_CSUM, 1, lengths[i], 100, 34, 16, 0 };
		const struct header none = { 0, 0, lengths[i], 0, 0, 0, 0 };
		send(target, &one, FRAME_BYTES);
		send(target, &none, FRAME_BYTES);
	}
}

static void random_headers(const struct target *target)
{
	start_with_offloads(target);
	for (unsigned i = 0; i < 100 * effort; i++) {
		struct header one;
		for (unsigned at = 0; at < sizeof(one); at++)
			((uint8_t *)&one)[at] = (uint8_t)random32();
		send(target, &one, 14 + random32() % 4000);
	}
}

static void header_rewritten_behind_the_kick(const struct target *target)
{
	struct virtio_queue *queue = queue_of(target, NET_TX);

	for (unsigned round = 0; round < 20 * effort; round++) {
		memset(spare, 0, 200);
		virtio_offer_one(queue, 0, spare, 200, 0);
		notify(target, NET_TX);
		for (unsigned i = 0; i < 300; i++) {
			*(volatile uint32_t *)(void *)spare = random32();
			*(volatile uint32_t *)(void *)(spare + 6) = random32();
		}
		if (!virtio_wait(queue, 1))
			fails("a frame does not come back");
	}
}

/* Every feature that the host's frames need, and every one that ours need. */
static void offloads_on_and_off(const struct target *target)
{
	uint64_t offered = virtio_offered(target->device);
	const struct header one = { NEEDS_CSUM, 1, 54, 1000, 34, 16, 0 };

	for (unsigned i = 0; i < 10 * effort; i++) {
		uint64_t set = i & 1 ? offered & (OFFLOADS | TO_GUEST) : 0;
		if (!target->start(set))
			fails("it does not start");
		send(target, &one, 3000);
	}
}

static void flood_to_the_host(const struct target *target)
{
	struct virtio_queue *queue = queue_of(target, NET_TX);

	memset(spare, 0, 2000);
	for (unsigned round = 0; round < 10 * effort; round++) {
		for (uint16_t i = 0; i < VIRTIO_QUEUE_SIZE; i++)
			virtio_offer_one(queue, i, spare, 1500, 0);
		notify(target, NET_TX);
		if (!virtio_wait(queue, VIRTIO_QUEUE_SIZE))
			fails("frames do not come back");
	}
}

/* A host that floods a guest without buffers, and then one whose buffers all are one. */
static void flood_of_a_starved_guest(const struct target *target)
{
	notify(target, NET_RX);
	(void)host_does(target->device == &tap.device ? "flood" : "stream-flood");
	notify(target, NET_RX);
}

static void receive(const struct target *target, uint16_t n, uint32_t bytes)
{
	for (uint16_t i = 0; i < n; i++)
		virtio_offer_one(queue_of(target, NET_RX), i, spare + i * 16u, bytes, DESC_WRITE);
	notify(target, NET_RX);
	(void)host_does(target->device == &tap.device ? "flood" : "stream-flood");
	notify(target, NET_RX);
}

static void buffers_of_a_header(const struct target *target)
{
	receive(target, VIRTIO_QUEUE_SIZE, 12);
}

static void buffers_of_13_bytes(const struct target *target)
{
	receive(target, VIRTIO_QUEUE_SIZE, 13);
}

static void buffers_too_short(const struct target *target)
{
	receive(target, 1, 11);
}

static void one_small_buffer(const struct target *target)
{
	receive(target, 1, 64);
}

static void buffers_over_each_other(const struct target *target)
{
	receive(target, VIRTIO_QUEUE_SIZE, 2048);
}

static void buffer_that_is_read(const struct target *target)
{
	virtio_offer_one(queue_of(target, NET_RX), 0, spare, 2048, 0);
	notify(target, NET_RX);
	(void)host_does(target->device == &tap.device ? "frame" : "stream-frame");
}

static void buffer_of_128_parts(const struct target *target)
{
	struct virtio_queue *queue = queue_of(target, NET_RX);

	for (uint16_t i = 0; i < VIRTIO_QUEUE_SIZE; i++) {
		queue->desc[i].gpa = (uintptr_t)spare + i * 2u;
		queue->desc[i].length = 1 + i % 3;
		queue->desc[i].flags =
			(uint16_t)(DESC_WRITE | (i < VIRTIO_QUEUE_SIZE - 1 ? DESC_NEXT : 0));
		queue->desc[i].next = (uint16_t)(i + 1);
	}
	virtio_offer(queue, 0);
	notify(target, NET_RX);
	(void)host_does(target->device == &tap.device ? "flood" : "stream-flood");
}

/* Frames come while the driver starts anew, with buffers and without. */
static void resets_under_a_flood(const struct target *target)
{
	for (unsigned i = 0; i < 5 * effort; i++) {
		if (!target->start(i & 1 ? FEATURE_NET_MRG_RXBUF : 0))
			fails("it does not start");
		for (uint16_t head = 0; head < 64; head++)
			virtio_offer_one(queue_of(target, NET_RX), head, spare, 2048, DESC_WRITE);
		notify(target, NET_RX);
		(void)host_does(target->device == &tap.device ? "flood" : "stream-flood");
		virtio_write(target->device, REG_STATUS, 0);
	}
	if (!target->start(0))
		fails("it does not start");
}

static void resets_with_frames_in_flight(const struct target *target)
{
	for (unsigned depth = 1; depth <= VIRTIO_QUEUE_SIZE; depth *= 2) {
		for (uint16_t i = 0; i < depth; i++)
			virtio_offer_one(queue_of(target, NET_TX), i, spare, 1500, 0);
		notify(target, NET_TX);
		if (!target->start(0))
			fails("it does not start");
	}
}

/* cases: net stream */
static const struct hostile_case cases[] = {
	{ "frames-of-no-length", 5, LIVES, 0, frames_of_no_length },
	{ "frames-too-long", 8, LIVES, 0, frames_too_long },
	{ "frame-of-32-mib", 8, LIVES, 0, frame_of_32_mib },
	{ "frame-in-128-parts", 5, LIVES, 0, frame_in_128_parts },
	{ "frame-in-a-written-buffer", 5, LIVES, 0, frame_in_a_written_buffer },
	{ "headers-of-every-kind", 18, LIVES, 0, headers_of_every_kind },
	{ "headers-not-negotiated", 18, LIVES, 0, headers_not_negotiated },
	{ "checksum-outside", 18, LIVES, 0, checksum_outside },
	{ "segments-of-no-size", 8, LIVES, 0, segments_of_no_size },
	{ "header-lengths", 18, LIVES, 0, header_lengths },
	{ "random-headers", 18, LIVES, 0, random_headers },
	{ "header-rewritten-behind-the-kick", 13, LIVES, 0, header_rewritten_behind_the_kick },
	{ "offloads-on-and-off", 26, LIVES, 0, offloads_on_and_off },
	{ "flood-to-the-host", 15, LIVES, 0, flood_to_the_host },
	{ "flood-of-a-starved-guest", 6, LIVES, 0, flood_of_a_starved_guest },
	{ "buffers-of-a-header", 18, ANY, FEATURE_NET_MRG_RXBUF, buffers_of_a_header },
	{ "buffers-of-13-bytes", 20, ANY, FEATURE_NET_MRG_RXBUF, buffers_of_13_bytes },
	{ "buffers-too-short", 20, BREAKS, 0, buffers_too_short },
	{ "one-small-buffer", 20, ANY, 0, one_small_buffer },
	{ "buffers-over-each-other", 13, ANY, FEATURE_NET_MRG_RXBUF, buffers_over_each_other },
	{ "buffer-that-is-read", 5, BREAKS, 0, buffer_that_is_read },
	{ "buffer-of-128-parts", 15, ANY, 0, buffer_of_128_parts },
	{ "resets-under-a-flood", 17, LIVES, 0, resets_under_a_flood },
	{ "resets-with-frames-in-flight", 17, LIVES, 0, resets_with_frames_in_flight },
};
HOSTILE_TABLE(net_table, cases, "net stream");
