/* SPDX-License-Identifier: MIT */
#include "hostile/hostile.h"

#define MARK         0x1badb002u
#define ECHO_PORT    6000u
#define ETHERTYPE_AT 12u
#define ARP          0x0608u /* in the bytes' order on the wire */
#define ARP_BYTES    42u

struct blk disk, slow, witness;
struct net tap, stream;
struct vsock vsock;
uint8_t block_data[BLK_SLOTS][SLOT_BYTES] __attribute__((aligned(4096)));
uint8_t spare[BLOCK_BYTES] __attribute__((aligned(4096)));
static uint8_t frame[NET_FRAME_MAX];
static unsigned disk_window, slow_window, witness_window, tap_window, stream_window, vsock_window;
static uint32_t next_port = 1024;

static bool disk_start(uint64_t features)
{
	return blk_start(&disk, disk_window, features);
}

/* The first sector, into the first slot. */
static bool read_sector(struct blk *blk)
{
	uint8_t status = blk_io(blk, BLK_IN, 0, block_data[0], 512);

	for (unsigned i = 1; status == BLK_NO_ANSWER && i < PATIENCE; i++)
		if (virtio_wait(&blk->queue, 1))
			status = blk->status[0];
	return status == BLK_OK;
}

static bool slow_start(uint64_t features)
{
	return blk_start(&slow, slow_window, features);
}

static bool slow_works(void)
{
	return slow_start(0) && read_sector(&slow);
}

static bool disk_works(void)
{
	*(uint32_t *)(void *)block_data[0] = 0;
	return disk_start(0) && read_sector(&disk) && *(uint32_t *)(void *)block_data[0] == MARK;
}

bool devices_witness(uint64_t *ticks)
{
	uint64_t start = read_tsc();
	bool ok = read_sector(&witness);

	*ticks = read_tsc() - start;
	return ok;
}

static bool tap_start(uint64_t features)
{
	return net_start_without_buffers(&tap, tap_window, features);
}

static bool stream_start(uint64_t features)
{
	return net_start_without_buffers(&stream, stream_window, features);
}

static void make_arp(const uint8_t mac[6])
{
	static const uint8_t request[] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	static const uint8_t us[] = { 10, 77, 0, 2 }, them[] = { 10, 77, 0, 1 };

	memset(frame, 0, 60);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac, 6);
	frame[12] = 8;
	frame[13] = 6;
	memcpy(frame + 14, request, sizeof(request));
	memcpy(frame + 22, mac, 6);
	memcpy(frame + 28, us, 4);
	memcpy(frame + 38, them, 4);
}

/* Whether it sends, and receives what the host answers. Other frames of the host may come before. */
static bool nic_works(struct net *nic, unsigned window)
{
	uint64_t begin = read_tsc();

	if (!net_start(nic, window, FEATURE_NET_MRG_RXBUF))
		return false;
	make_arp(nic->mac);
	if (!net_send(nic, frame, 60))
		return false;
	while (read_tsc() - begin < PATIENCE * VIRTIO_WAIT_TSC)
		if (net_receive(nic, frame) >= ARP_BYTES &&
		    *(uint16_t *)(void *)(frame + ETHERTYPE_AT) == ARP)
			return true;
	return false;
}

static bool tap_works(void)
{
	return nic_works(&tap, tap_window);
}

static bool stream_works(void)
{
	return nic_works(&stream, stream_window);
}

static bool vsock_begin(uint64_t features)
{
	return vsock_start_without_buffers(&vsock, vsock_window, features);
}

static bool vsock_say(uint32_t port, uint16_t op, uint32_t length)
{
	struct vsock_packet *packet = vsock_prepare(&vsock);

	if (packet == NULL)
		return false;
	packet->op = op;
	packet->src_port = port;
	packet->dst_port = ECHO_PORT;
	packet->length = length;
	packet->flags = 0;
	packet->buf_alloc = 65536;
	packet->fwd_cnt = 0;
	memset(packet->data, 'v', length);
	vsock_send(&vsock, packet);
	return true;
}

/* Until the host has answered a packet of `port` with `op`. */
static bool vsock_hear(uint32_t port, uint16_t op)
{
	uint64_t begin = read_tsc();

	while (read_tsc() - begin < PATIENCE * VIRTIO_WAIT_TSC) {
		struct vsock_packet *packet = vsock_receive(&vsock);
		if (packet == NULL)
			continue;
		bool ours = packet->dst_port == port && packet->src_port == ECHO_PORT;
		bool wanted = packet->op == op;
		vsock_done(&vsock, packet);
		if (ours && (wanted || packet->op == VSOCK_RST))
			return wanted;
	}
	return false;
}

/* A connection to a host program that echoes. */
static bool vsock_echoes(void)
{
	uint32_t port = next_port++;

	return vsock_say(port, VSOCK_REQUEST, 0) && vsock_hear(port, VSOCK_RESPONSE) &&
	       vsock_say(port, VSOCK_RW, 100) && vsock_hear(port, VSOCK_RW) &&
	       vsock_say(port, VSOCK_RST, 0);
}

/* Thousands of connections of an earlier driver have their places until they are closed: then it is asked again. */
static bool vsock_works(void)
{
	uint64_t begin = read_tsc();

	if (!vsock_start(&vsock, vsock_window, 0))
		return false;
	while (!vsock_echoes())
		if (read_tsc() - begin > PATIENCE * VIRTIO_WAIT_TSC)
			return false;
	return true;
}

static const struct target targets[] = {
	{ "block", &disk.device, &disk.queue, 1, false, disk_start, disk_works, NULL },
	{ "slow-block", &slow.device, &slow.queue, 1, false, slow_start, slow_works, NULL },
	/* What is no device of its own: the disk must go on. */
	{ "uart", &disk.device, &disk.queue, 1, false, disk_start, disk_works, NULL },
	{ "reset-port", &disk.device, &disk.queue, 1, false, disk_start, disk_works, NULL },
	{ "doorbell", &disk.device, &disk.queue, 1, false, disk_start, disk_works, NULL },
	{ "bus", &disk.device, &disk.queue, 1, false, disk_start, disk_works, NULL },
	{ "interrupts", &disk.device, &disk.queue, 1, false, disk_start, disk_works, NULL },
	{ "net", &tap.device, tap.queues, 2, true, tap_start, tap_works, NULL },
	{ "net-rx", &tap.device, &tap.queues[NET_RX], 2, true, tap_start, tap_works, "frame" },
	{ "net-tx", &tap.device, &tap.queues[NET_TX], 2, false, tap_start, tap_works, NULL },
	{ "stream", &stream.device, stream.queues, 2, true, stream_start, stream_works, NULL },
	{ "stream-rx", &stream.device, &stream.queues[NET_RX], 2, true, stream_start, stream_works,
	  "stream-frame" },
	{ "stream-tx", &stream.device, &stream.queues[NET_TX], 2, false, stream_start, stream_works,
	  NULL },
	{ "vsock", &vsock.device, vsock.queues, 3, true, vsock_begin, vsock_works, NULL },
	{ "vsock-rx", &vsock.device, &vsock.queues[VSOCK_RX], 3, true, vsock_begin, vsock_works,
	  "connect" },
	{ "vsock-tx", &vsock.device, &vsock.queues[VSOCK_TX], 3, false, vsock_begin, vsock_works,
	  NULL },
};

static bool is_word(const char *word, const char *at, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (word[i] != at[i])
			return false;
	return word[length] == '\0';
}

const struct target *devices_target(const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
		if (is_word(targets[i].name, name, length))
			return targets[i].device->base != 0 ? &targets[i] : NULL;
	return NULL;
}

static unsigned find(const uint8_t *zero_page, const char *word, struct virtio *device)
{
	uint64_t window = cmdline_number(zero_page, word, UINT64_MAX);

	if (window != UINT64_MAX)
		device->base = VIRTIO_WINDOW(window);
	return (unsigned)window;
}

void devices_find(const uint8_t *zero_page)
{
	disk_window = find(zero_page, "disk=", &disk.device);
	slow_window = find(zero_page, "slow=", &slow.device);
	witness_window = find(zero_page, "witness=", &witness.device);
	tap_window = find(zero_page, "tap=", &tap.device);
	stream_window = find(zero_page, "stream=", &stream.device);
	vsock_window = find(zero_page, "vsock=", &vsock.device);
	if (!blk_start(&witness, witness_window, 0))
		fails("the witness does not start");
}

static void put(const struct target *target, uint16_t i, void *data, uint32_t length,
		uint16_t flags)
{
	volatile struct virtio_desc *desc = &target->queue->desc[i];

	desc->gpa = (uintptr_t)data;
	desc->length = length;
	desc->flags = flags;
	desc->next = (uint16_t)(i + 1);
}

/* A packet of no connection for the vsock, a frame that asks for nothing for a NIC. */
void good_chain(const struct target *target)
{
	uint16_t write = target->is_written ? DESC_WRITE : 0;
	struct vsock_packet *packet = (void *)spare;

	if (target->device == &disk.device) {
		disk.device.features &=
			~FEATURE_INDIRECT; /* no table, although there could be one */
		virtio_offer(&disk.queue, blk_prepare(&disk, 0, BLK_IN, 0, block_data[0], 512));
		return;
	}
	memset(spare, 0, 3 * 1024);
	if (target->device == &vsock.device) {
		packet->src_cid = vsock.cid;
		packet->dst_cid = VSOCK_HOST_CID;
		packet->type = VSOCK_STREAM;
		packet->op = VSOCK_RST;
	}
	put(target, 0, spare, VSOCK_HEADER_BYTES, DESC_NEXT | write);
	put(target, 1, spare + 1024, 1024, DESC_NEXT | write);
	put(target, 2, spare + 2048, 512, write);
	virtio_offer(target->queue, 0);
}

void kick(const struct target *target)
{
	virtio_write(target->device, REG_QUEUE_NOTIFY, target->queue->number);
}
