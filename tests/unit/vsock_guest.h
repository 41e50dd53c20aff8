/* SPDX-License-Identifier: MIT */
/* A guest's vsock driver, packet by packet; each packet to it is checked for what must hold of any. */
#ifndef TESTS_UNIT_VSOCK_GUEST_H
#define TESTS_UNIT_VSOCK_GUEST_H

#include <linux/vm_sockets.h>

#include "tests/unit/net_queues.h"
#include "virtio-mmio/vsock/vsock.h"

#define RX_BUFFER_GPA 0x400000u /* 128 KiB a head */
#define TX_BUFFER_GPA 0x2400000u
#define BUFFER_STEP   0x20000u
#define GUEST_CID     42u
#define FREE_HEAD     0xffu
#define ALL_RIGHT     0x40000u /* a guest's buf_alloc, if nothing else is said */
#define QUEUE_WORDS   (FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | FEATURE(VIRTIO_RING_F_EVENT_IDX))

static struct vsock vsock;
/* How many bytes each receive head was offered with; 0: the driver has it. */
static uint32_t rx_offered[RIG_QUEUE_SIZE];
static bool tx_offered[RIG_QUEUE_SIZE];

/* The byte at a position of a stream: every 4 bytes are different, so that none can move. */
static inline uint8_t pattern(uint32_t stream, uint64_t position)
{
	uint64_t x = (position / 4 + 1) * 0x9e3779b97f4a7c15u + stream * 0x85ebca6bu;

	return (uint8_t)(x >> (24 + position % 4 * 8));
}

static inline void make_pattern(uint8_t *to, uint32_t stream, uint64_t position, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = pattern(stream, position + i);
}

static inline void check_pattern(const uint8_t *at, uint32_t stream, uint64_t position, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (at[i] != pattern(stream, position + i))
			CHECK_EQ(position + i, 0xbadu); /* shows the place */
}

/* The driver comes up, after a reset if it was up before. */
static inline void guest_start(void)
{
	memset(rx_offered, 0, sizeof(rx_offered));
	memset(tx_offered, 0, sizeof(tx_offered));
	queues_start(QUEUE_WORDS, RIG_QUEUE_SIZE);
}

static inline void guest_reset(void)
{
	queues_reset();
	RIG_RUN_UNTIL(queues_status() == 0);
}

/* Offers up to n more receive buffers of one part; returns how many. */
static inline unsigned guest_offer(unsigned n, uint32_t bytes)
{
	unsigned offered = 0;

	for (uint16_t head = 0; head < RIG_QUEUE_SIZE && offered < n; head++) {
		if (rx_offered[head] != 0)
			continue;
		struct rig_part part = { RX_BUFFER_GPA + head * BUFFER_STEP, bytes, true };
		queues_offer(VSOCK_RX, head, &part, 1);
		rx_offered[head] = bytes;
		offered++;
	}
	if (offered > 0)
		queues_kick(VSOCK_RX);
	return offered;
}

static inline unsigned guest_rx_offered(void)
{
	unsigned n = 0;

	for (unsigned head = 0; head < RIG_QUEUE_SIZE; head++)
		n += rx_offered[head] != 0;
	return n;
}

/* Takes the next packet, if there is one. Its data, header->len bytes, stays until the buffer is
 * offered again. */
static inline bool guest_receive(struct virtio_vsock_hdr *header, const uint8_t **data)
{
	struct vring_used_elem used;

	if (queues_used(VSOCK_RX) == 0)
		return false;
	used = queues_take(VSOCK_RX);
	CHECK(used.id < RIG_QUEUE_SIZE && rx_offered[used.id] != 0);
	CHECK(used.len >= VSOCK_HEADER_BYTES && used.len <= rx_offered[used.id]);
	rx_offered[used.id] = 0;
	const uint8_t *packet = rig_at(RX_BUFFER_GPA + used.id * BUFFER_STEP);
	memcpy(header, packet, sizeof(*header));
	*data = packet + sizeof(*header);
	CHECK_EQ(header->src_cid, VMADDR_CID_HOST);
	CHECK_EQ(header->dst_cid, GUEST_CID);
	CHECK_EQ(header->len, used.len - VSOCK_HEADER_BYTES);
	CHECK(header->op == VIRTIO_VSOCK_OP_RW || header->len == 0);
	CHECK(header->op != VIRTIO_VSOCK_OP_RW || header->len > 0);
	bool last = header->op == VIRTIO_VSOCK_OP_RST || (header->op == VIRTIO_VSOCK_OP_SHUTDOWN &&
							  header->flags == VSOCK_SHUTDOWN_BOTH);
	if (header->op != VIRTIO_VSOCK_OP_RST)
		CHECK_EQ(header->type, VIRTIO_VSOCK_TYPE_STREAM);
	/* The last one wakes who waits for credit. */
	CHECK_EQ(header->buf_alloc, last ? UINT32_MAX : VSOCK_BUFFER_BYTES);
	return true;
}

/* The next packet must be this one. */
static inline struct virtio_vsock_hdr guest_expect(uint16_t op, uint32_t guest_port,
						   uint32_t host_port)
{
	struct virtio_vsock_hdr header;
	const uint8_t *data;

	RIG_RUN_UNTIL(queues_used(VSOCK_RX) > 0);
	CHECK(guest_receive(&header, &data));
	CHECK_EQ(header.op, op);
	CHECK_EQ(header.dst_port, guest_port);
	if (host_port != 0)
		CHECK_EQ(header.src_port, host_port);
	return header;
}

static inline void guest_take_tx(void)
{
	while (queues_used(VSOCK_TX) > 0) {
		struct vring_used_elem used = queues_take(VSOCK_TX);
		CHECK(used.id < RIG_QUEUE_SIZE && tx_offered[used.id]);
		CHECK_EQ(used.len, 0);
		tx_offered[used.id] = false;
	}
}

/* A transmit head of the driver's, waiting for one if need be. */
static inline uint16_t guest_tx_head(void)
{
	for (;;) {
		guest_take_tx();
		for (uint16_t head = 0; head < RIG_QUEUE_SIZE; head++)
			if (!tx_offered[head])
				return head;
		RIG_RUN_UNTIL(queues_used(VSOCK_TX) > 0);
	}
}

static inline struct virtio_vsock_hdr guest_header(uint16_t op, uint32_t guest_port,
						   uint32_t host_port, uint32_t length)
{
	return (struct virtio_vsock_hdr){
		.src_cid = GUEST_CID,
		.dst_cid = VMADDR_CID_HOST,
		.src_port = guest_port,
		.dst_port = host_port,
		.len = length,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = ALL_RIGHT,
	};
}

/* Sends a packet, header and data in one part each. */
static inline void guest_send(const struct virtio_vsock_hdr *header, const uint8_t *data)
{
	uint16_t head = guest_tx_head();
	uint64_t gpa = TX_BUFFER_GPA + head * BUFFER_STEP;
	struct rig_part parts[] = { { gpa, sizeof(*header), false },
				    { gpa + sizeof(*header), header->len, false } };

	memcpy(rig_at(gpa), header, sizeof(*header));
	if (header->len > 0)
		memcpy(rig_at(gpa + sizeof(*header)), data, header->len);
	tx_offered[head] = true;
	queues_offer(VSOCK_TX, head, parts, header->len > 0 ? 2 : 1);
	queues_kick(VSOCK_TX);
}

static inline void guest_send_op(uint16_t op, uint32_t guest_port, uint32_t host_port,
				 uint32_t flags)
{
	struct virtio_vsock_hdr header = guest_header(op, guest_port, host_port, 0);

	header.flags = flags;
	guest_send(&header, NULL);
}

#endif
