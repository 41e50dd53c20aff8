/* SPDX-License-Identifier: MIT */
/* Frames through a stream: their bounds, a slow side, a driver that is reset. */
#include "tests/unit/check.h"
#include "tests/unit/net_stream_rig.h"

static const uint32_t sizes[] = { 14,   15,   60,    1499,          1514,
				  4096, 9014, 32768, MAX_FRAME - 1, MAX_FRAME };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void test_no_offloads(void)
{
	stream_open();
	CHECK_EQ(nic.device.offered_features, FEATURE(VIRTIO_NET_F_MAC) |
						      FEATURE(VIRTIO_NET_F_STATUS) |
						      FEATURE(VIRTIO_NET_F_MRG_RXBUF));
	stream_close();
	stream_open_at(-1, NULL, 9000);
	CHECK(nic.device.offered_features & FEATURE(VIRTIO_NET_F_MTU));
	CHECK_EQ(nic.link.config.mtu, 9000);
	stream_close();
}

/* One buffer a frame. */
static void test_to_the_guest(void)
{
	stream_open();
	nic_start(0);
	for (unsigned round = 0; round < 5; round++) {
		for (uint16_t i = 0; i < SIZES; i++)
			nic_offer_rx(i, HEADER + MAX_FRAME);
		queues_kick(NET_RX);
		for (unsigned i = 0; i < SIZES; i++)
			peer_send_frame(sizes[i], round * 100 + i);
		for (unsigned i = 0; i < SIZES; i++)
			guest_expect_frame(sizes[i], round * 100 + i);
	}
	CHECK(link_is_up());
	stream_close();
}

/* Many small buffers a frame; and one whose rest is used for the next. */
static void test_merged(void)
{
	static const uint32_t buffers[] = { 1100, 1526, 4096 };

	for (unsigned b = 0; b < 3; b++) {
		stream_open();
		nic_start(MRG | RING_FEATURES);
		for (unsigned i = 0; i < SIZES; i++) {
			peer_send_frame(sizes[i], i);
			for (uint16_t head = 0; head < RIG_QUEUE_SIZE; head++)
				nic_offer_rx(head, buffers[b]);
			queues_kick(NET_RX);
			guest_expect_frame(sizes[i], i);
			queues_reset();
			nic_start(MRG | RING_FEATURES);
		}
		stream_close();
	}
}

/* Bytes come as they like: a length in pieces, many frames at once. */
static void test_pieces(void)
{
	static uint8_t stream[SIZES * (4 + MAX_FRAME)];
	uint64_t random = 5;
	size_t n = 0;

	for (unsigned i = 0; i < SIZES; i++) {
		uint32_t length = htobe32(sizes[i]);
		make_frame(frame, HEADER + sizes[i], i);
		memcpy(stream + n, &length, 4);
		memcpy(stream + n + 4, frame + HEADER, sizes[i]);
		n += 4 + sizes[i];
	}
	for (unsigned most = 1; most < 200000; most = most * 37 + 1) {
		stream_open();
		nic_start(0);
		for (uint16_t i = 0; i < SIZES; i++)
			nic_offer_rx(i, HEADER + MAX_FRAME);
		queues_kick(NET_RX);
		for (size_t at = 0, piece; at < n; at += piece) {
			/* Every byte of the small frames alone; of the large ones that would take long. */
			piece = most == 1 && at > 6000 ? 999 : 1 + check_random(&random) % most;
			piece = piece < n - at ? piece : n - at;
			peer_send(stream + at, piece);
			CHECK_EQ(ring_wait_for(&rig_ring, 0), 0);
		}
		for (unsigned i = 0; i < SIZES; i++)
			guest_expect_frame(sizes[i], i);
		stream_close();
	}
}

static void test_from_the_guest(void)
{
	static const uint64_t features[] = { 0, RING_FEATURES };

	for (unsigned f = 0; f < 2; f++) {
		stream_open();
		nic_start(features[f]);
		for (unsigned round = 0; round < 20; round++) {
			unsigned n = round % 3 ? round : RIG_QUEUE_SIZE;
			for (uint16_t head = 0; head < n; head++)
				offer_tx(head, HEADER + 14 + (head * 977 + round) % 9000,
					 round * 128 + head);
			queues_kick(NET_TX);
			for (unsigned head = 0; head < n; head++)
				peer_expect_frame(HEADER + 14 + (head * 977 + round) % 9000,
						  round * 128 + head);
			take_all_tx(n);
		}
		for (unsigned i = 0; i < SIZES; i++) {
			offer_tx(0, HEADER + sizes[i], i);
			queues_kick(NET_TX);
			peer_expect_frame(HEADER + sizes[i], i);
			take_all_tx(1);
		}
		stream_close();
	}
}

/* The header may end in the middle of a part. */
static void test_parts(void)
{
	struct rig_part parts[100];

	stream_open();
	nic_start(FEATURE(VIRTIO_RING_F_INDIRECT_DESC));
	for (unsigned size = 1; size < 14; size++) {
		make_frame(frame, 100 * size, size);
		for (unsigned i = 0; i < 100; i++) {
			parts[i] = (struct rig_part){ TX_BUFFER_GPA + i * 32, size, false };
			memcpy(rig_at(parts[i].gpa), frame + i * size, size);
		}
		queues_offer(NET_TX, 0, parts, 100);
		queues_kick(NET_TX);
		peer_expect_frame(100 * size, size);
		take_all_tx(1);
	}
	stream_close();
}

/* What is no frame comes back unsent; those around it are sent. */
static void test_no_frames(void)
{
	struct rig_part writable = { TX_BUFFER_GPA + 9 * BUFFER_STEP, 100, true };

	stream_open();
	nic_start(0);
	offer_tx(0, HEADER + 60, 0);
	offer_tx(1, 1, 1);
	offer_tx(2, HEADER, 2);
	offer_tx(3, HEADER + 13, 3);
	offer_tx(4, HEADER + MAX_FRAME + 1, 4);
	queues_offer(NET_TX, 9, &writable, 1);
	offer_tx(5, HEADER + 61, 5);
	queues_kick(NET_TX);
	take_all_tx(7);
	peer_expect_frame(HEADER + 60, 0);
	peer_expect_frame(HEADER + 61, 5);
	CHECK_EQ(nic.device.count.errors, 5);
	CHECK(link_is_up() && !queues_broken());
	stream_close();
}

/* The peer reads nothing: the guest's frames wait in its queue, and all are sent in order when it reads. The other direction
 * and the ring go on. */
static void test_slow_peer(void)
{
	enum {
		FRAMES = RIG_QUEUE_SIZE
	};

	stream_open();
	nic_start(0);
	for (uint16_t head = 0; head < FRAMES; head++)
		offer_tx(head, HEADER + 30000, head);
	queues_kick(NET_TX);
	rig_wake_ups(IDLE_MS);
	CHECK(queues_used(NET_TX) < FRAMES / 2);
	CHECK_EQ(rig_wake_ups(IDLE_MS), 0);
	nic_offer_rx(0, HEADER + MAX_FRAME);
	queues_kick(NET_RX);
	peer_send_frame(1000, 7);
	guest_expect_frame(1000, 7);
	for (unsigned head = 0; head < FRAMES; head++)
		peer_expect_frame(HEADER + 30000, head);
	take_all_tx(FRAMES);
	stream_close();
}

/* The guest has no buffers: the peer is stopped by the socket, what is kept is bounded, and all of it arrives. */
static void test_slow_guest(void)
{
	unsigned sent = 0;

	stream_open();
	nic_start(0);
	for (;;) {
		uint32_t length = htobe32(1000);
		struct iovec parts[] = { { &length, 4 }, { frame + HEADER, 1000 } };
		make_frame(frame, HEADER + 1000, sent);
		rig_idle();
		if (writev(peer, parts, 2) < 0)
			break;
		sent++;
	}
	CHECK_EQ(errno, EAGAIN);
	CHECK(sent > 20 && sent < 2000);
	CHECK_EQ(rig_wake_ups(IDLE_MS), 0);
	for (unsigned i = 0; i < sent;) {
		unsigned n = 0;
		for (; n < RIG_QUEUE_SIZE && i + n < sent; n++)
			nic_offer_rx((uint16_t)n, HEADER + 1000);
		queues_kick(NET_RX);
		for (; n > 0; n--)
			guest_expect_frame(1000, i++);
	}
	stream_close();
}

/* Frames that the guest's buffers cannot hold, and those without a header, are dropped; the next one arrives. */
static void test_unfit_frames(void)
{
	stream_open();
	nic_start(0);
	for (uint16_t i = 0; i < 4; i++)
		nic_offer_rx(i, HEADER + 1514);
	queues_kick(NET_RX);
	peer_send_frame(1515, 1);
	peer_send_frame(13, 2);
	peer_send_frame(1, 3);
	peer_send_frame(1514, 4);
	guest_expect_frame(1514, 4);
	CHECK_EQ(nic.device.count.errors, 3);
	CHECK(link_is_up());
	stream_close();
}

/* A driver that is reset with half a frame here and half a frame there: the stream stays whole. */
static void test_reset(void)
{
	stream_open();
	for (unsigned round = 0; round < 6; round++) {
		nic_start(round % 2 ? MRG : 0);
		for (uint16_t head = 0; head < RIG_QUEUE_SIZE; head++)
			offer_tx(head, HEADER + 60000, head);
		queues_kick(NET_TX);
		nic_offer_rx(0, HEADER + MAX_FRAME);
		queues_kick(NET_RX);
		peer_send_length(5000);
		make_frame(frame, HEADER + 5000, round);
		peer_send(frame + HEADER, 2345);
		rig_idle();
		queues_reset();
		CHECK_EQ(queues_status(), 0);
		nic_start(0);
		nic_offer_rx(1, HEADER + MAX_FRAME);
		offer_tx(1, HEADER + 77, round);
		queues_kick(NET_RX);
		queues_kick(NET_TX);
		peer_send(frame + HEADER + 2345, 5000 - 2345);
		guest_expect_frame(5000, round);
		/* Those that had been taken before the reset, then the new one. */
		uint32_t length = 0;
		unsigned old = 0;
		for (;; old++) {
			peer_read(&length, 4);
			if (be32toh(length) != 60000)
				break;
			peer_read(got, 60000);
		}
		CHECK(old > 0 && old < 10);
		CHECK_EQ(be32toh(length), 77);
		peer_read(got, 77);
		make_frame(frame, HEADER + 77, round);
		CHECK_BYTES(got, frame + HEADER, 77);
		queues_reset();
	}
	CHECK(link_is_up());
	stream_close();
}

/* Others who share an inherited socket may have made it non-blocking. */
static void test_non_blocking(void)
{
	stream_open();
	CHECK(fcntl(nic_socket.fd, F_SETFL, O_NONBLOCK) == 0);
	nic_start(0);
	for (unsigned round = 0; round < 3; round++) {
		nic_offer_rx(0, HEADER + MAX_FRAME);
		queues_kick(NET_RX);
		rig_idle();
		peer_send_frame(MAX_FRAME, round);
		guest_expect_frame(MAX_FRAME, round);
		for (uint16_t head = 0; head < 20; head++)
			offer_tx(head, HEADER + MAX_FRAME, head);
		queues_kick(NET_TX);
		rig_idle();
		for (unsigned head = 0; head < 20; head++)
			peer_expect_frame(HEADER + MAX_FRAME, head);
		take_all_tx(20);
	}
	CHECK_EQ(rig_wake_ups(IDLE_MS), 0);
	CHECK(link_is_up());
	stream_close();
}

int main(void)
{
	RUN(test_no_offloads);
	RUN(test_to_the_guest);
	RUN(test_merged);
	RUN(test_pieces);
	RUN(test_from_the_guest);
	RUN(test_parts);
	RUN(test_no_frames);
	RUN(test_slow_peer);
	RUN(test_slow_guest);
	RUN(test_unfit_frames);
	RUN(test_reset);
	RUN(test_non_blocking);
	return 0;
}
