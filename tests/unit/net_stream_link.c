/* SPDX-License-Identifier: MIT */
/* A stream's peer that leaves, is broken, or comes back. */
#include <sys/stat.h>

#include "tests/unit/check.h"
#include "tests/unit/net_stream_rig.h"

static char path[64];
static int listener = -1;

static void listen_at_path(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(address.sun_path, path);
	unlink(path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CHECK(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(listen(listener, 4) == 0);
}

static void accept_peer(void)
{
	RIG_RUN_UNTIL((peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0);
}

/* The link goes down with one configuration interrupt; the guest's frames come back, and nothing happens any more. */
static void check_down(void)
{
	RIG_RUN_UNTIL(!link_is_up());
	rig_idle();
	CHECK_EQ(nic.device.config_generation, 1);
	CHECK_EQ(nic_socket.fd, -1);
	for (uint16_t head = 0; head < 9; head++)
		offer_tx(head, HEADER + 60, head);
	queues_kick(NET_TX);
	take_all_tx(9);
	CHECK_EQ(rig_wake_ups(IDLE_MS), 0);
	CHECK(!queues_broken());
}

static void test_broken_lengths(void)
{
	static const uint32_t lengths[] = { 0, MAX_FRAME + 1, 0x01000000, UINT32_MAX };

	for (unsigned i = 0; i < 4; i++) {
		stream_open();
		nic_start(0);
		for (uint16_t head = 0; head < 4; head++)
			nic_offer_rx(head, HEADER + MAX_FRAME);
		queues_kick(NET_RX);
		peer_send_frame(100, 1);
		peer_send_length(lengths[i]);
		peer_send("and something behind it", 23);
		guest_expect_frame(100, 1);
		check_down();
		CHECK_EQ(queues_used(NET_RX), 0);
		char byte; /* The peer learns of it. */
		CHECK_EQ(recv(peer, &byte, 1, 0), 0);
		stream_close();
	}
}

/* What it does not read is not waited for. */
static void test_broken_while_writing(void)
{
	stream_open();
	nic_start(0);
	for (uint16_t head = 0; head < RIG_QUEUE_SIZE; head++)
		offer_tx(head, HEADER + 30000, head);
	queues_kick(NET_TX);
	rig_wake_ups(IDLE_MS);
	CHECK(nic.stream.out.under_way && queues_used(NET_TX) < RIG_QUEUE_SIZE);
	peer_send_length(0);
	take_all_tx(RIG_QUEUE_SIZE);
	check_down();
	stream_close();
}

/* Whole frames are the guest's; the rest is nobody's. */
static void test_peer_leaves(void)
{
	for (unsigned half = 0; half < 3; half++) {
		stream_open();
		nic_start(0);
		nic_offer_rx(0, HEADER + MAX_FRAME);
		queues_kick(NET_RX);
		peer_send_frame(100, half);
		if (half > 0)
			peer_send("\0\0", 2);
		if (half > 1)
			peer_send("\1\0half", 6);
		guest_expect_frame(100, half);
		close(peer);
		peer = -1;
		check_down();
		stream_close();
	}
}

/* Before the driver, and with bytes that nobody has read. */
static void test_peer_leaves_early(void)
{
	stream_open();
	close(peer);
	peer = -1;
	RIG_RUN_UNTIL(!link_is_up());
	nic_start(0);
	offer_tx(0, HEADER + 60, 0);
	queues_kick(NET_TX);
	take_all_tx(1);
	stream_close();

	stream_open();
	nic_start(0);
	for (uint16_t head = 0; head < RIG_QUEUE_SIZE; head++)
		offer_tx(head, HEADER + 30000, head);
	queues_kick(NET_TX);
	rig_idle();
	CHECK(queues_used(NET_TX) < RIG_QUEUE_SIZE);
	close(peer);
	peer = -1;
	take_all_tx(RIG_QUEUE_SIZE);
	CHECK(!link_is_up());
	CHECK_EQ(rig_wake_ups(IDLE_MS), 0);
	stream_close();
}

/* Nobody there for some tries, then somebody: the link is up, and the stream begins anew. */
static void test_reconnects(void)
{
	struct frame_socket first;
	struct error_text error;

	snprintf(path, sizeof(path), "/tmp/net-stream-%d", getpid());
	listen_at_path();
	CHECK(frame_socket_open(&first, path, &error));
	stream_open_at(first.fd, path, 0);
	accept_peer();
	nic_start(0);
	for (unsigned round = 0; round < 3; round++) {
		nic_offer_rx(0, HEADER + MAX_FRAME);
		queues_kick(NET_RX);
		offer_tx(0, HEADER + 99, round);
		queues_kick(NET_TX);
		peer_expect_frame(HEADER + 99, round);
		take_all_tx(1);
		peer_send_frame(500, round);
		guest_expect_frame(500, round);
		peer_send("\0\0", 2);
		rig_idle();
		if (round == 1) {
			close(listener);
			unlink(path);
		}
		close(peer);
		RIG_RUN_UNTIL(!link_is_up());
		offer_tx(1, HEADER + 99, round); /* is dropped */
		queues_kick(NET_TX);
		take_all_tx(1);
		if (round == 1) {
			CHECK(rig_wake_ups(2500) <= 6);
			CHECK(!link_is_up());
			listen_at_path();
		}
		RIG_RUN_UNTIL(link_is_up());
		accept_peer();
	}
	CHECK_EQ(nic.device.config_generation, 6);
	close(listener);
	unlink(path);
	stream_close();
}

static void test_open_and_adopt(void)
{
	struct frame_socket frames;
	struct error_text error;
	char long_path[200];
	int ends[2], fd;

	snprintf(path, sizeof(path), "/tmp/net-stream-%d", getpid());
	unlink(path);
	CHECK(!frame_socket_open(&frames, path, &error));
	CHECK_HAS(error.text, "No such file");
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	CHECK(!frame_socket_open(&frames, path, &error));
	CHECK_HAS(error.text, "Connection refused");
	CHECK(!frame_socket_adopt(&frames, fd, &error));
	CHECK_HAS(error.text, "expected a TAP or a connected stream socket");
	close(fd);
	memset(long_path, 'x', sizeof(long_path));
	long_path[108] = '\0';
	CHECK(!frame_socket_open(&frames, long_path, &error));
	CHECK_HAS(error.text, "longer than 107 bytes");
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	CHECK(!frame_socket_adopt(&frames, ends[0], &error));
	close(ends[0]);
	close(ends[1]);
	listen_at_path();
	CHECK(!frame_socket_adopt(&frames, listener, &error));
	CHECK(frame_socket_open(&frames, path, &error));
	CHECK((fcntl(frames.fd, F_GETFL) & O_NONBLOCK) == 0);
	CHECK(fcntl(frames.fd, F_GETFD) & FD_CLOEXEC);
	CHECK(frame_socket_adopt(&frames, frames.fd, &error));
	frame_socket_close(&frames);
	frame_socket_close(&frames);
	close(listener);
	unlink(path);
}

int main(void)
{
	RUN(test_broken_lengths);
	RUN(test_broken_while_writing);
	RUN(test_peer_leaves);
	RUN(test_peer_leaves_early);
	RUN(test_reconnects);
	RUN(test_open_and_adopt);
	return 0;
}
