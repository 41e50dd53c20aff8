/* SPDX-License-Identifier: MIT */
/* A poll-mode virtio-vsock driver (virtio 1.2, 5.10): packets in, packets out; streams are the guest's. */
#ifndef TESTS_GUEST_RT_VSOCK_H
#define TESTS_GUEST_RT_VSOCK_H

#include "rt/virtio.h"

#define VSOCK_DATA_MAX 4096u /* of one packet */
#define VSOCK_HOST_CID 2u
#define VSOCK_STREAM   1u

enum {
	VSOCK_RX,
	VSOCK_TX,
	VSOCK_EVENT,
	VSOCK_QUEUES
};

enum {
	VSOCK_REQUEST = 1,
	VSOCK_RESPONSE,
	VSOCK_RST,
	VSOCK_SHUTDOWN,
	VSOCK_RW,
	VSOCK_CREDIT_UPDATE,
	VSOCK_CREDIT_REQUEST,
};

#define VSOCK_SHUTDOWN_RCV  1u
#define VSOCK_SHUTDOWN_SEND 2u

struct vsock_packet {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, length;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
	uint8_t data[VSOCK_DATA_MAX];
} __attribute__((packed));

#define VSOCK_HEADER_BYTES (uint32_t)(sizeof(struct vsock_packet) - VSOCK_DATA_MAX)

struct vsock {
	struct virtio device;
	struct virtio_queue queues[VSOCK_QUEUES];
	uint64_t cid;
	uint16_t n_sent;
	struct vsock_packet rx[VIRTIO_QUEUE_SIZE], tx[VIRTIO_QUEUE_SIZE];
};

/* Everything up to DRIVER_OK for the vsock of window `index`, with all receive buffers offered. False: something
 * was not as it must be. */
bool vsock_start(struct vsock *vsock, unsigned index, uint64_t features);
bool vsock_start_without_buffers(struct vsock *vsock, unsigned index, uint64_t features);

/* The next packet that has come, or NULL. It stays until vsock_done(). */
struct vsock_packet *vsock_receive(struct vsock *vsock);
void vsock_done(struct vsock *vsock, struct vsock_packet *packet);

/* A packet to fill in; then vsock_send(). NULL: all slots stay in use for seconds. */
struct vsock_packet *vsock_prepare(struct vsock *vsock);
void vsock_send(struct vsock *vsock, struct vsock_packet *packet);

#endif
