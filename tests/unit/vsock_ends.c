/* SPDX-License-Identifier: MIT */
/* How connections end: of one side only, in any order. */
#include "tests/unit/check.h"
#include "tests/unit/vsock_streams_rig.h"

/* The host's program reads no more, or has gone, in the middle of what the guest sends: what the program
 * wrote before comes to the guest first, then the connection ends. */
static void test_deaf_host(void)
{
	for (int gone = 0; gone < 2; gone++) {
		struct virtio_vsock_hdr header;
		const uint8_t *at;
		uint32_t have = 0;
		open_all();
		int fd = guest_open(1, PORT, listener);
		while (queues_used(VSOCK_RX) || guest_rx_offered() > 1) /* one buffer left */
			guest_send_op(VIRTIO_VSOCK_OP_CREDIT_REQUEST, 1, PORT, 0),
				guest_expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 1, PORT);
		CHECK(send(fd, data, 30000, 0) == 30000);
		RIG_RUN_UNTIL(guest_receive(&header, &at));
		have += header.len;
		if (gone)
			close(fd);
		else
			CHECK(shutdown(fd, SHUT_RD) == 0);
		guest_sends(1, 100);
		rig_idle();
		guest_sends(1, 100); /* it has not heard yet */
		rig_idle();
		guest_offer(RIG_QUEUE_SIZE, 4096);
		header = guest_expect(VIRTIO_VSOCK_OP_SHUTDOWN, 1, PORT);
		CHECK_EQ(header.flags, VIRTIO_VSOCK_SHUTDOWN_RCV);
		while (have < 30000) {
			RIG_RUN_UNTIL(guest_receive(&header, &at));
			CHECK_EQ(header.op, VIRTIO_VSOCK_OP_RW);
			CHECK_BYTES(at, data + have, header.len);
			have += header.len;
		}
		if (!gone) {
			rig_idle();
			CHECK_EQ(queues_used(VSOCK_RX), 0);
			CHECK(send(fd, data, 10, MSG_NOSIGNAL) == 10);
			CHECK_EQ(guest_expect(VIRTIO_VSOCK_OP_RW, 1, PORT).len, 10);
			close(fd);
		}
		guest_expect(VIRTIO_VSOCK_OP_RST, 1, PORT);
		close_all();
	}
}

/* The guest has ended both ways and gives up waiting (Linux, after 8 s): a slow reader still gets
 * everything, and meanwhile the ports are those of a connection that is gone. */
static void test_slow_reader_after_the_end(void)
{
	open_all();
	int fd = guest_open(1, PORT, listener);
	unsigned n = 0;
	for (; n < 100; n++) { /* more than the socket takes */
		const struct vsock_stream *stream =
			&vsock_connection_find(&vsock.connections, 1, PORT)->stream;
		rig_idle();
		if (VSOCK_BUFFER_BYTES - (stream->received - stream->forwarded) < sizeof(data))
			break;
		guest_sends(1, sizeof(data));
	}
	CHECK(n > 1 && n < 100);
	guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 1, PORT, VSOCK_SHUTDOWN_BOTH);
	rig_idle();
	struct virtio_vsock_hdr header;
	const uint8_t *at;
	while (guest_receive(&header, &at))
		CHECK_EQ(header.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	guest_send_op(VIRTIO_VSOCK_OP_RST, 1, PORT, 0);
	rig_idle();
	CHECK_EQ(connections_in(VSOCK_DRAINING), 1);
	int again = guest_open(1, PORT, listener); /* the ports are free */
	guest_send_op(VIRTIO_VSOCK_OP_RST, 1, PORT, 0);
	host_expect_end(again);
	close(again);
	guest_sends(1, 10);
	guest_expect(VIRTIO_VSOCK_OP_RST, 1, PORT);
	CHECK_EQ(host_reads_all(fd), n * sizeof(data));
	close(fd);
	rig_idle();
	CHECK_EQ(queues_used(VSOCK_RX), 0); /* nothing more to the guest */
	/* And with a reader that goes away instead. */
	fd = guest_open(2, PORT, listener);
	for (unsigned i = 0; i < n; i++) {
		guest_sends(2, sizeof(data));
		rig_idle();
	}
	guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 2, PORT, VSOCK_SHUTDOWN_BOTH);
	guest_send_op(VIRTIO_VSOCK_OP_RST, 2, PORT, 0);
	rig_idle();
	close(fd);
	close_all();
}

/* The guest uses the ports of a connection again as soon as it knows of its end. */
static void test_ports_again(void)
{
	open_all();
	for (unsigned i = 0; i < 50; i++) {
		int fd = guest_open(1, PORT, listener);
		if (i % 3 == 0) {
			guest_send_op(VIRTIO_VSOCK_OP_RST, 1, PORT, 0);
		} else if (i % 3 == 1) {
			guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 1, PORT, VSOCK_SHUTDOWN_BOTH);
			guest_expect(VIRTIO_VSOCK_OP_RST, 1, PORT);
		} else {
			guest_reset();
			guest_start();
		}
		guest_offer(RIG_QUEUE_SIZE, 4096);
		int next = guest_open(1, PORT, listener);
		host_expect_end(fd);
		close(fd);
		guest_send_op(VIRTIO_VSOCK_OP_RST, 1, PORT, 0);
		host_expect_end(next);
		close(next);
		guest_offer(RIG_QUEUE_SIZE, 4096);
	}
	close_all();
}

static ring_done_fn *real_send_done;

static void send_again(struct ring_op *op, int32_t result)
{
	CHECK(result > 0);
	op->done = real_send_done;
	real_send_done(op, -EAGAIN);
}

/* A write of the OK line that must be tried again is; the guest's data waits behind it. */
static void test_ok_line_again(void)
{
	char text[64];

	open_all();
	int fd = host_connect();
	host_write(fd, "CONNECT 9\n");
	uint32_t port = guest_expect(VIRTIO_VSOCK_OP_REQUEST, 9, 0).src_port;
	struct vsock_connection *connection = vsock_connection_find(&vsock.connections, 9, port);
	real_send_done = connection->socket.ops[VSOCK_SOCKET_WRITE].op.done;
	connection->socket.ops[VSOCK_SOCKET_WRITE].op.done = send_again;
	guest_send_op(VIRTIO_VSOCK_OP_RESPONSE, 9, port, 0);
	struct virtio_vsock_hdr header = guest_header(VIRTIO_VSOCK_OP_RW, 9, port, 5);
	guest_send(&header, (const uint8_t *)"hello");
	/* The first was sent in truth, so it is there twice. */
	snprintf(text, sizeof(text), "OK %u\nOK %u\nhello", port, port);
	host_expect_text(fd, text);
	guest_send_op(VIRTIO_VSOCK_OP_RST, 9, port, 0);
	host_expect_end(fd);
	close(fd);
	close_all();
}

/* Data that the guest sends before it knows that the host's program is gone is thrown away, and it gets the
 * credit back: one that waits for it would not learn otherwise that writing has no sense any more. */
static void test_late_data_gives_credit(void)
{
	open_all();
	int fd = guest_open(1, PORT, listener);
	close(fd);
	struct virtio_vsock_hdr header = guest_expect(VIRTIO_VSOCK_OP_SHUTDOWN, 1, PORT);
	CHECK_EQ(header.flags, VSOCK_SHUTDOWN_BOTH);
	guest_sends(1, VSOCK_PACKET_BYTES);
	guest_sends(1, VSOCK_PACKET_BYTES);
	do
		header = guest_expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 1, PORT);
	while (header.fwd_cnt != 2 * VSOCK_PACKET_BYTES);
	guest_send_op(VIRTIO_VSOCK_OP_RST, 1, PORT, 0);
	close_all();
}

/* The guest closes while the host's program waits for room to write, and reads nothing until it has
 * some, as a server that echoes does: its write fails, and it gets all that the guest has sent. */
static void test_close_frees_a_writer(void)
{
	struct virtio_vsock_hdr header;
	const uint8_t *packet;
	int small = 4096;

	open_all();
	for (unsigned round = 0; round < 20; round++) {
		int fd = guest_open(1, PORT, listener);
		CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)) == 0);
		while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
			RIG_RUN_UNTIL(vsock.device.in_flight == 0);
		const struct vsock_stream *stream =
			&vsock_connection_find(&vsock.connections, 1, PORT)->stream;
		/* Until the socket is full and a packet waits in the monitor. */
		while (stream->received == stream->forwarded) {
			guest_sends(1, VSOCK_PACKET_BYTES);
			rig_idle();
		}
		size_t sent = stream->received;
		guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 1, PORT, VSOCK_SHUTDOWN_BOTH);
		struct pollfd writable = { .fd = fd, .events = POLLOUT };
		RIG_RUN_UNTIL(poll(&writable, 1, 0) == 1 && send(fd, data, 1, MSG_NOSIGNAL) < 0);
		CHECK_EQ(errno, EPIPE);
		CHECK_EQ(host_reads_all(fd), sent);
		close(fd);
		do { /* some of what the host has written is there, too */
			guest_offer(RIG_QUEUE_SIZE, 4096);
			RIG_RUN_UNTIL(guest_receive(&header, &packet));
		} while (header.op != VIRTIO_VSOCK_OP_RST);
	}
	close_all();
}

/* Every combination of who ends what in which order: no end is lost, and all ends in a RST. */
static void test_half_closes(void)
{
	open_all();
	for (unsigned order = 0; order < 6; order++) {
		int fd = guest_open(1, PORT, listener);
		guest_sends(1, 1000);
		if (order & 1) { /* the host first */
			CHECK(shutdown(fd, SHUT_WR) == 0);
			CHECK_EQ(guest_expect(VIRTIO_VSOCK_OP_SHUTDOWN, 1, PORT).flags,
				 VIRTIO_VSOCK_SHUTDOWN_SEND);
		}
		if (order / 2 == 0) { /* one after the other */
			guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 1, PORT,
				      VIRTIO_VSOCK_SHUTDOWN_SEND);
			CHECK_EQ(host_reads_all(fd), 1000);
			if (!(order & 1)) { /* the other way is still open */
				CHECK(send(fd, data, 10, 0) == 10);
				CHECK_EQ(guest_expect(VIRTIO_VSOCK_OP_RW, 1, PORT).len, 10);
			}
			if (order & 1) /* both have said all */
				CHECK_EQ(guest_expect(VIRTIO_VSOCK_OP_SHUTDOWN, 1, PORT).flags,
					 VSOCK_SHUTDOWN_BOTH);
			guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 1, PORT, VIRTIO_VSOCK_SHUTDOWN_RCV);
		} else if (order / 2 == 1) {
			guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 1, PORT, VIRTIO_VSOCK_SHUTDOWN_RCV);
			rig_idle();
			RIG_RUN_UNTIL(send(fd, data, 10, MSG_NOSIGNAL) < 0 && errno == EPIPE);
			guest_sends(1, 500);
			guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 1, PORT,
				      VIRTIO_VSOCK_SHUTDOWN_SEND);
			size_t have = 0;
			ssize_t r;
			do {
				RIG_RUN_UNTIL((r = recv(fd, got, sizeof(got), 0)) >= 0 ||
					      errno != EAGAIN);
				have += r > 0 ? (size_t)r : 0;
			} while (r > 0);
			CHECK_EQ(have, 1500);
		} else {
			guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 1, PORT, VSOCK_SHUTDOWN_BOTH);
			CHECK_EQ(host_reads_all(fd), 1000);
		}
		guest_expect(VIRTIO_VSOCK_OP_RST, 1, PORT);
		close(fd);
		guest_offer(RIG_QUEUE_SIZE, 4096);
		RIG_RUN_UNTIL(connections_used() == 0);
	}
	close_all();
}

/* A program that closes its socket ends both directions at once; one that shuts its own down only that. */
static void test_close_ends_both(void)
{
	open_all();
	for (int closes = 0; closes < 2; closes++) {
		int fd = guest_open(1, PORT, listener);
		CHECK(send(fd, data, 100, 0) == 100);
		if (closes)
			close(fd);
		else
			CHECK(shutdown(fd, SHUT_WR) == 0);
		CHECK_EQ(guest_expect(VIRTIO_VSOCK_OP_RW, 1, PORT).len, 100);
		CHECK_EQ(guest_expect(VIRTIO_VSOCK_OP_SHUTDOWN, 1, PORT).flags,
			 closes ? VSOCK_SHUTDOWN_BOTH : VIRTIO_VSOCK_SHUTDOWN_SEND);
		guest_send_op(VIRTIO_VSOCK_OP_RST, 1, PORT, 0);
		if (!closes)
			close(fd);
		RIG_RUN_UNTIL(connections_used() == 0);
	}
	close_all();
}

/* Who waits for credit gets it when the host's program closes its socket without having read everything: a
 * Linux program that waits for room to write is not woken by the RST alone. */
static void test_close_gives_credit(void)
{
	struct virtio_vsock_hdr header = { 0 };
	uint32_t sent = 0;
	const uint8_t *at;

	open_all();
	int fd = guest_open(1, PORT, listener);
	for (int i = 0; i < 20; i++) {
		if (sent - header.fwd_cnt + VSOCK_PACKET_BYTES <= VSOCK_BUFFER_BYTES) {
			guest_sends(1, VSOCK_PACKET_BYTES);
			sent += VSOCK_PACKET_BYTES;
		}
		rig_idle();
		while (guest_receive(&header, &at))
			CHECK_EQ(header.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	}
	CHECK(sent - header.fwd_cnt + VSOCK_PACKET_BYTES > VSOCK_BUFFER_BYTES);
	close(fd);
	CHECK_EQ(guest_expect(VIRTIO_VSOCK_OP_RST, 1, PORT).fwd_cnt, sent);
	RIG_RUN_UNTIL(connections_used() == 0);
	close_all();
}

static unsigned strays;

static void stray(struct vsock_socket *socket, int32_t result)
{
	(void)socket, (void)result;
	strays++;
}

/* The kernel's worker may hold a socket's file for a moment after it is closed: what the epoll had to tell of it is not
 * told to the place's next user. */
static void test_closed_socket_is_silent(void)
{
	struct vsock_socket socket;
	int pair[2], next[2];

	open_all();
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, next) == 0);
	vsock_socket_open(&socket, &vsock.sockets, pair[0]);
	CHECK(vsock_socket_epoll_out(&socket));
	int held = dup(pair[0]);
	close(pair[1]);
	vsock_socket_close(&socket);
	vsock_socket_open(&socket, &vsock.sockets, next[0]);
	socket.ops[VSOCK_SOCKET_POLL_HANG_UP].done = stray;
	rig_idle();
	CHECK_EQ(strays, 0);
	close(held);
	vsock_socket_close(&socket);
	close(next[1]);
	close_all();
}

int main(void)
{
	RUN(test_closed_socket_is_silent);
	RUN(test_deaf_host);
	RUN(test_slow_reader_after_the_end);
	RUN(test_ports_again);
	RUN(test_ok_line_again);
	RUN(test_late_data_gives_credit);
	RUN(test_close_frees_a_writer);
	RUN(test_half_closes);
	RUN(test_close_ends_both);
	RUN(test_close_gives_credit);
	return 0;
}
