/* SPDX-License-Identifier: MIT */
/* A NIC without KVM and without a TAP: a pair of datagram-like sockets stands for it. What the test
 * sends to `host_fd` is a frame for the guest, what the guest sends arrives there. */
#ifndef TESTS_UNIT_NET_RIG_H
#define TESTS_UNIT_NET_RIG_H

#include <linux/if_tun.h>

#include "tests/unit/net_queues.h"
#include "virtio-mmio/net.h"

#define RX_BUFFER_GPA 0x400000u /* 128 KiB a head */
#define TX_BUFFER_GPA 0x2400000u
#define BUFFER_STEP   0x20000u
#define ALL_OFFLOADS  (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_UFO | TAP_F_USO4 | TAP_F_USO6)
#define RING_FEATURES (FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | FEATURE(VIRTIO_RING_F_EVENT_IDX))

static struct tap nic_tap;
static struct net nic;
static int host_fd;
static const uint8_t rig_mac[6] = { 2, 0, 0, 0, 0, 7 };

/* tap_fd: the NIC's end. */
static inline void nic_open_fd(int tap_fd, uint32_t offloads, uint16_t mtu)
{
	nic_tap = (struct tap){
		.fd = tap_fd,
		.name = "fake0",
		.offloads = offloads,
		.mtu = 1500,
	};
	queues_open();
	memset(&nic, 0, offsetof(struct net, stream)); /* which it has not */
	net_init(&nic, &nic_tap, rig_mac, mtu, &rig.memory, &rig_ring);
	queues_attach(&nic.device);
}

static inline void nic_open(uint32_t offloads, uint16_t mtu)
{
	int ends[2], bytes = 4 << 20;

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
	for (int i = 0; i < 2; i++)
		CHECK(setsockopt(ends[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) == 0 ||
		      setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) == 0);
	host_fd = ends[1];
	nic_open_fd(ends[0], offloads, mtu);
}

static inline void nic_close(void)
{
	queues_close();
	close(nic_tap.fd);
	if (host_fd >= 0)
		close(host_fd);
}

/* The driver comes up with these and the queue features that it has. */
static inline void nic_start(uint64_t features)
{
	queues_start(features, RIG_QUEUE_SIZE);
}

/* One receive buffer of one part. */
static inline void nic_offer_rx(uint16_t head, uint32_t bytes)
{
	struct rig_part part = { RX_BUFFER_GPA + head * BUFFER_STEP, bytes, true };

	memset(rig_at(part.gpa), 0xee, bytes + 64);
	queues_offer(NET_RX, head, &part, 1);
}

/* A frame with its header; the payload's bytes depend on `seed`. */
static inline void make_frame(uint8_t *frame, uint32_t bytes, unsigned seed)
{
	uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;

	memset(frame, 0, TAP_HEADER_BYTES);
	for (uint32_t i = TAP_HEADER_BYTES; i < bytes; i++)
		frame[i] = (uint8_t)check_random(&state);
}

static inline void host_send(const uint8_t *frame, uint32_t bytes)
{
	CHECK(send(host_fd, frame, bytes, 0) == (ssize_t)bytes);
}

/* Whether frames still wait at the NIC's end of the pair. */
static inline bool tap_holds_frames(void)
{
	struct pollfd ready = { .fd = nic_tap.fd, .events = POLLIN };

	return poll(&ready, 1, 0) == 1;
}

#endif
