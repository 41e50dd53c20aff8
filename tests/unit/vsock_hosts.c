/* SPDX-License-Identifier: MIT */
/* The most that the host's programs can take of the monitor: time, places. */
#include <sys/epoll.h>
#include <time.h>

#include "host/container_of.h"
#include "tests/unit/check.h"
#include "tests/unit/send_descriptor.h"
#include "tests/unit/vsock_streams_rig.h"

/* CLOCK_MONOTONIC is earlier by so much for this process. */
static int64_t lag_ms;

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int result = (int)syscall(SYS_clock_gettime, clock, now);

	now->tv_sec -= lag_ms / 1000;
	return result;
}

static bool no_epoll; /* the host has no memory for one */

int epoll_ctl(int epfd, int operation, int fd, struct epoll_event *event)
{
	if (no_epoll) {
		errno = ENOMEM;
		return -1;
	}
	return (int)syscall(SYS_epoll_ctl, epfd, operation, fd, event);
}

static bool no_out_of_band; /* this host's Unix sockets send nothing so */

static void send_out_of_band(int fd, const char *byte)
{
	CHECK(send(fd, byte, 1, (no_out_of_band ? 0 : MSG_OOB) | MSG_NOSIGNAL) == 1);
}

/* A byte out of band, in every place of the line and alone: it belongs to the line, and the event loop
 * does not wake up for it again and again. */
static void test_class_27_stuck_readiness_greeting(void)
{
	static const char line[] = "CONNECT 7\n";

	open_all();
	int fd = host_connect();
	no_out_of_band = send(fd, "C", 1, MSG_OOB) < 0 && errno == EOPNOTSUPP;
	check_still();
	close(fd);
	for (size_t at = 0; at < sizeof(line) - 1; at++) {
		fd = host_connect();
		for (size_t i = 0; i < sizeof(line) - 1; i++) {
			if (i == at)
				send_out_of_band(fd, line + i);
			else
				CHECK(send(fd, line + i, 1, 0) == 1);
			check_still();
		}
		uint32_t host_port = guest_expect(VIRTIO_VSOCK_OP_REQUEST, 7, 0).src_port;
		close(fd);
		guest_expect(VIRTIO_VSOCK_OP_RST, 7, host_port);
		fd = host_connect(); /* and one too many */
		send_out_of_band(fd, "x");
		host_write(fd, line);
		host_expect_end(fd);
		close(fd);
	}
	close_all();
}

/* In a stream, too, it is a byte like the others, and is thrown away with them. */
static void test_class_27_stuck_readiness_stream(void)
{
	static const char text[] = "0123456789";
	struct virtio_vsock_hdr header;
	const uint8_t *at;

	open_all();
	for (int old_host = 0; old_host < 2; old_host++) {
		size_t have = 0;
		vsock.sockets.no_nowait = old_host;
		int fd = guest_open(1, PORT, listener);
		for (size_t i = 0; i < sizeof(text) - 1; i++) {
			if (i % 3 == 0)
				send_out_of_band(fd, text + i);
			else
				CHECK(send(fd, text + i, 1, 0) == 1);
			if (i % 2)
				rig_idle();
		}
		while (have < sizeof(text) - 1) {
			RIG_RUN_UNTIL(guest_receive(&header, &at));
			CHECK_EQ(header.op, VIRTIO_VSOCK_OP_RW);
			CHECK_BYTES(at, text + have, header.len);
			have += header.len;
		}
		check_still();
		guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 1, PORT, VIRTIO_VSOCK_SHUTDOWN_RCV);
		send(fd, text, 1, MSG_OOB | MSG_NOSIGNAL);
		check_still();
		guest_send_op(VIRTIO_VSOCK_OP_RST, 1, PORT, 0);
		host_expect_end(fd);
		close(fd);
		guest_offer(RIG_QUEUE_SIZE, 4096);
	}
	close_all();
}

static ring_done_fn *real_done;
static unsigned reads;

static void nothing_there(struct ring_op *op, int32_t result)
{
	(void)result;
	reads++;
	real_done(op, -EAGAIN);
}

/* Whatever it is that a poll sees and a read does not: the connection ends, and not only when its program
 * goes. */
static void test_ready_in_vain(void)
{
	open_all();
	int fd = host_connect();
	RIG_RUN_UNTIL(greetings() == 1);
	real_done = vsock.listener.pool[0].socket.ops[VSOCK_SOCKET_READ].op.done;
	vsock.listener.pool[0].socket.ops[VSOCK_SOCKET_READ].op.done = nothing_there;
	reads = 0;
	host_write(fd, "CONNECT 7\n");
	host_expect_end(fd);
	CHECK_EQ(reads, VSOCK_MAX_IN_VAIN);
	close(fd);
	CHECK_EQ(queues_used(VSOCK_RX), 0);
	fd = guest_open(1, PORT, listener);
	struct vsock_connection *connection = vsock_connection_find(&vsock.connections, 1, PORT);
	real_done = connection->socket.ops[VSOCK_SOCKET_READ].op.done;
	connection->socket.ops[VSOCK_SOCKET_READ].op.done = nothing_there;
	reads = 0;
	for (unsigned i = 0; i < VSOCK_MAX_IN_VAIN; i++) {
		RIG_RUN_UNTIL(reads == i);
		CHECK(send(fd, "x", 1, 0) == 1);
		RIG_RUN_UNTIL(reads == i + 1);
	}
	guest_expect(VIRTIO_VSOCK_OP_RST, 1, PORT);
	close(fd);
	close_all();
}

static unsigned sends;

static void not_supported(struct ring_op *op, int32_t result)
{
	(void)result;
	CHECK(sends++ < 10);
	real_done(op, -EOPNOTSUPP);
}

/* A host whose sockets do not take RWF_NOWAIT is asked without; one that refuses that, too, is not asked
 * again. */
static void test_send_not_supported(void)
{
	open_all();
	int fd = guest_open(1, PORT, listener);
	struct vsock_connection *connection = vsock_connection_find(&vsock.connections, 1, PORT);
	real_done = connection->socket.ops[VSOCK_SOCKET_WRITE].op.done;
	connection->socket.ops[VSOCK_SOCKET_WRITE].op.done = not_supported;
	guest_sends(1, 100);
	CHECK_EQ(guest_expect(VIRTIO_VSOCK_OP_SHUTDOWN, 1, PORT).flags, VIRTIO_VSOCK_SHUTDOWN_RCV);
	CHECK(vsock.sockets.no_nowait && sends == 2);
	guest_send_op(VIRTIO_VSOCK_OP_RST, 1, PORT, 0);
	close(fd);
	close_all();
}

static void first_two_not_supported(struct ring_op *op, int32_t result)
{
	real_done(op, sends++ < 2 ? -EOPNOTSUPP : result);
}

/* Two operations that such a host refuses at once, the second when that is known: both are asked again. */
static void test_two_not_supported(void)
{
	open_all();
	int fds[] = { guest_open(1, PORT, listener), guest_open(2, PORT, listener) };
	real_done = vsock_connection_find(&vsock.connections, 1, PORT)
			    ->socket.ops[VSOCK_SOCKET_WRITE]
			    .op.done;
	sends = 0;
	for (uint32_t port = 1; port <= 2; port++) {
		vsock_connection_find(&vsock.connections, port, PORT)
			->socket.ops[VSOCK_SOCKET_WRITE]
			.op.done = first_two_not_supported;
		guest_sends(port, 100);
	}
	RIG_RUN_UNTIL(sends == 4);
	check_still();
	CHECK(vsock.sockets.no_nowait && queues_used(VSOCK_RX) == 0);
	vsock.sockets.no_nowait = false;
	for (uint32_t port = 1; port <= 2; port++)
		vsock_connection_find(&vsock.connections, port, PORT)
			->socket.ops[VSOCK_SOCKET_READ]
			.op.done = first_two_not_supported;
	sends = 0;
	for (unsigned i = 0; i < 2; i++)
		CHECK(send(fds[i], "x", 1, 0) == 1);
	RIG_RUN_UNTIL(sends == 2);
	CHECK(vsock.sockets.no_nowait && queues_used(VSOCK_RX) == 0);
	for (unsigned i = 0; i < 2; i++) { /* what was read has not come: it is not known here */
		CHECK(send(fds[i], "y", 1, 0) == 1);
		guest_expect(VIRTIO_VSOCK_OP_RW, i + 1, PORT);
		guest_send_op(VIRTIO_VSOCK_OP_RST, i + 1, PORT, 0);
		RIG_RUN_UNTIL(vsock_connection_find(&vsock.connections, i + 1, PORT) == NULL);
		close(fds[i]);
	}
	close_all();
}

/* A program that has ended its sending and does not read: the guest's data waits without a stir. */
static void test_slow_reader_that_sends_no_more(void)
{
	size_t sent = 0;

	open_all();
	int fd = guest_open(1, PORT, listener);
	CHECK(shutdown(fd, SHUT_WR) == 0);
	guest_expect(VIRTIO_VSOCK_OP_SHUTDOWN, 1, PORT);
	const struct vsock_stream *stream =
		&vsock_connection_find(&vsock.connections, 1, PORT)->stream;
	for (; stream->received - stream->forwarded <= VSOCK_PACKET_BYTES / 2;
	     sent += VSOCK_PACKET_BYTES / 2) {
		guest_sends(1, VSOCK_PACKET_BYTES / 2);
		rig_idle();
	}
	check_still();
	guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 1, PORT, VSOCK_SHUTDOWN_BOTH);
	size_t have = 0;
	ssize_t r;
	do {
		RIG_RUN_UNTIL((r = recv(fd, got, sizeof(got), 0)) >= 0 || errno != EAGAIN);
		have += r > 0 ? (size_t)r : 0;
	} while (r > 0);
	CHECK_EQ(have, sent);
	close(fd);
	guest_offer(RIG_QUEUE_SIZE, 4096);
	RIG_RUN_UNTIL(connections_used() == 0);
	close_all();
}

/* Where the host has no memory to wait for room after a direction has ended, the connection ends: nobody polls again
 * and again. */
static void test_no_memory_to_wait_for_room(void)
{
	struct virtio_vsock_hdr header = { 0 };
	const uint8_t *at;

	open_all();
	int fd = guest_open(1, PORT, listener);
	const struct vsock_stream *stream =
		&vsock_connection_find(&vsock.connections, 1, PORT)->stream;
	while (stream->received - stream->forwarded <= VSOCK_PACKET_BYTES / 2) {
		guest_sends(1, VSOCK_PACKET_BYTES / 2);
		rig_idle();
	}
	no_epoll = true;
	CHECK(shutdown(fd, SHUT_WR) == 0);
	while (header.op != VIRTIO_VSOCK_OP_RST) {
		RIG_RUN_UNTIL(guest_receive(&header, &at));
		guest_offer(RIG_QUEUE_SIZE, 4096);
	}
	check_still();
	no_epoll = false;
	close(fd);
	close_all();
}

/* Nobody makes the monitor the last to hold a file, which it would close in its event loop: the kernel may take its
 * time for that (SO_LINGER). Linux before 6.16 cannot refuse it. */
static void test_descriptors_are_refused(void)
{
	int option = 1;

	open_all();
	int own = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(setsockopt(own, SOL_SOCKET, SO_PASSRIGHTS, &option, sizeof(option)) == 0 ||
	      errno == ENOPROTOOPT);
	bool refuses = getsockopt(own, SOL_SOCKET, SO_PASSRIGHTS, &option,
				  &(socklen_t){ sizeof(option) }) == 0;
	int greeting = host_connect();
	RIG_RUN_UNTIL(greetings() == 1);
	CHECK_EQ(send_descriptor(greeting, own), refuses ? EPERM : 0);
	close(greeting);
	RIG_RUN_UNTIL(greetings() == 0);
	int fd = guest_open(1, PORT, listener);
	CHECK_EQ(send_descriptor(fd, own), refuses ? EPERM : 0);
	if (refuses)
		CHECK(send(fd, "x", 1, 0) == 1);
	guest_expect(VIRTIO_VSOCK_OP_RW, 1, PORT); /* it goes on */
	guest_send_op(VIRTIO_VSOCK_OP_RST, 1, PORT, 0);
	host_expect_end(fd);
	close(fd);
	close(own);
	close_all();
}

static unsigned ends;

/* A send that was on the ring before the read that finds the end fails after it. */
static void end_then_failed_send(struct ring_op *op, int32_t result)
{
	struct vsock_socket *socket = container_of(op, struct vsock_socket_op, op)->socket;

	real_done(op, result);
	if (result != 0)
		return;
	ends++;
	virtio_device_lock(&vsock.device);
	vsock_connection_wrote(container_of(socket, struct vsock_connection, socket), -ENOBUFS);
	virtio_device_unlock(&vsock.device);
}

/* A program that has ended its sending, and whose socket takes nothing any more: it has nothing to do with
 * the guest, and what the guest says then meets no socket. */
static void test_end_and_failed_send(void)
{
	open_all();
	unsigned before = open_descriptors();
	int fd = guest_open(8, PORT, listener);
	struct vsock_connection *connection = vsock_connection_find(&vsock.connections, 8, PORT);
	real_done = connection->socket.ops[VSOCK_SOCKET_READ].op.done;
	connection->socket.ops[VSOCK_SOCKET_READ].op.done = end_then_failed_send;
	ends = 0;
	CHECK(shutdown(fd, SHUT_WR) == 0);
	RIG_RUN_UNTIL(ends == 1);
	guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 8, PORT, VIRTIO_VSOCK_SHUTDOWN_SEND);
	check_still();
	CHECK_EQ(open_descriptors(), before + 1);
	host_expect_end(fd);
	close(fd);
	CHECK_EQ(guest_expect(VIRTIO_VSOCK_OP_SHUTDOWN, 8, PORT).flags, VIRTIO_VSOCK_SHUTDOWN_RCV);
	guest_expect(VIRTIO_VSOCK_OP_RST, 8, PORT);
	close_all();
}

/* Who does not say its line is closed after 10 s, whoever says it later or meanwhile; and then no timer is
 * left. */
static void test_greeting_deadline(void)
{
	enum {
		SILENT = 200
	};
	static int fds[SILENT];

	open_all();
	lag_ms = 10000; /* their time is over at once */
	for (unsigned i = 0; i < SILENT; i++) {
		fds[i] = host_connect();
		if (i % 3 == 0)
			host_write(fds[i], "CONNECT");
		RIG_RUN_UNTIL(greetings() == i + 1);
	}
	int greeted = host_connect();
	host_write(greeted, "CONNECT 7\n");
	uint32_t host_port = guest_expect(VIRTIO_VSOCK_OP_REQUEST, 7, 0).src_port;
	lag_ms = 0;
	int late = host_connect();
	RIG_RUN_UNTIL(greetings() == 1);
	for (unsigned i = 0; i < SILENT; i++) {
		host_expect_end(fds[i]);
		close(fds[i]);
	}
	CHECK(vsock.listener.timer_runs);
	check_still();
	host_write(late, "CONNECT 8\n");
	uint32_t late_port = guest_expect(VIRTIO_VSOCK_OP_REQUEST, 8, 0).src_port;
	guest_send_op(VIRTIO_VSOCK_OP_RST, 8, late_port, 0);
	guest_send_op(VIRTIO_VSOCK_OP_RST, 7, host_port, 0);
	host_expect_end(greeted);
	host_expect_end(late);
	close(greeted);
	close(late);
	close_all();
}

int main(void)
{
	RUN(test_class_27_stuck_readiness_greeting);
	RUN(test_class_27_stuck_readiness_stream);
	RUN(test_ready_in_vain);
	RUN(test_send_not_supported);
	RUN(test_two_not_supported);
	RUN(test_slow_reader_that_sends_no_more);
	RUN(test_no_memory_to_wait_for_room);
	RUN(test_descriptors_are_refused);
	RUN(test_end_and_failed_send);
	RUN(test_greeting_deadline);
	return 0;
}
