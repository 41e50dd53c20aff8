/* SPDX-License-Identifier: MIT */
/* A NIC whose frames go through a stream socket; the test is its peer. */
#ifndef TESTS_UNIT_NET_STREAM_RIG_H
#define TESTS_UNIT_NET_STREAM_RIG_H

#include <endian.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/unit/net_tx_rig.h"

#define HEADER    12u
#define MAX_FRAME NET_STREAM_MAX_FRAME_BYTES

static struct frame_socket nic_socket;
static int peer = -1; /* the other end, non-blocking */

static inline void stream_open_at(int fd, const char *path, uint16_t mtu)
{
	nic_socket = (struct frame_socket){ fd, path };
	queues_open();
	memset(&nic, 0, sizeof(nic));
	net_init_stream(&nic, &nic_socket, "peer0", rig_mac, mtu, &rig.memory, &rig_ring);
	queues_attach(&nic.device);
	net_start(&nic);
}

static inline void stream_open(void)
{
	int ends[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	peer = ends[1];
	CHECK(fcntl(peer, F_SETFL, O_NONBLOCK) == 0);
	stream_open_at(ends[0], NULL, 0);
}

static inline void stream_close(void)
{
	queues_close();
	frame_socket_close(&nic_socket);
	if (peer >= 0)
		close(peer);
	peer = -1;
}

/* All of it, while the NIC runs. */
static inline void peer_send(const void *bytes, size_t n)
{
	const uint8_t *at = bytes;

	while (n > 0) {
		ssize_t sent;
		RIG_RUN_UNTIL((sent = send(peer, at, n, MSG_NOSIGNAL)) > 0);
		at += sent;
		n -= (size_t)sent;
	}
}

static inline void peer_send_length(uint32_t length)
{
	length = htobe32(length);
	peer_send(&length, sizeof(length));
}

/* The payload's bytes depend on `seed`, as with make_frame(). */
static inline void peer_send_frame(uint32_t bytes, unsigned seed)
{
	make_frame(frame, HEADER + bytes, seed);
	peer_send_length(bytes);
	peer_send(frame + HEADER, bytes);
}

static inline void peer_read(void *to, size_t n)
{
	uint8_t *at = to;

	while (n > 0) {
		ssize_t now;
		RIG_RUN_UNTIL((now = recv(peer, at, n, 0)) >= 0 || errno != EAGAIN);
		CHECK(now > 0);
		at += now;
		n -= (size_t)now;
	}
}

/* The next frame is one of offer_tx(), of so many bytes with its header. */
static inline void peer_expect_frame(uint32_t bytes, unsigned seed)
{
	uint32_t length;

	peer_read(&length, sizeof(length));
	CHECK_EQ(be32toh(length), bytes - HEADER);
	peer_read(got, bytes - HEADER);
	make_frame(frame, bytes, seed);
	CHECK_BYTES(got, frame + HEADER, bytes - HEADER);
}

/* The guest's next frame, over as many buffers as it takes, is of so many bytes. */
static inline void guest_expect_frame(uint32_t bytes, unsigned seed)
{
	struct virtio_net_hdr_v1 header;
	uint32_t have = 0;
	unsigned buffers = 0;

	RIG_RUN_UNTIL(queues_used(NET_RX) > 0);
	do {
		struct vring_used_elem used = queues_take(NET_RX);
		CHECK(have + used.len <= sizeof(got));
		memcpy(got + have, rig_at(RX_BUFFER_GPA + used.id * BUFFER_STEP), used.len);
		have += used.len;
		memcpy(&header, got, sizeof(header));
	} while (++buffers < header.num_buffers);
	CHECK_EQ(have, HEADER + bytes);
	CHECK_EQ(header.num_buffers, buffers);
	CHECK(header.flags == 0 && header.gso_type == 0 && header.hdr_len == 0 &&
	      header.gso_size == 0 && header.csum_start == 0 && header.csum_offset == 0);
	make_frame(frame, HEADER + bytes, seed);
	CHECK_BYTES(got + HEADER, frame + HEADER, bytes);
}

static inline bool link_is_up(void)
{
	CHECK_EQ(nic.link.down, !(nic.link.config.status & VIRTIO_NET_S_LINK_UP));
	return !nic.link.down;
}

#endif
