/* SPDX-License-Identifier: MIT */
/* The guest's connections to host programs that do not accept as fast as the guest asks. */
#include "tests/unit/check.h"
#include "tests/unit/lagging_clock.h"
#include "tests/unit/vsock_rig.h"

#define SLOW     6000u /* the port of a program with little room */
#define OTHER    6001u
#define ROOM     2u /* that a backlog of 1 has */
#define MANY     200u
#define LIMIT_MS 2000

static int slow, other;

static void open_all(void)
{
	vsock_rig_open();
	guest_start();
	guest_offer(RIG_QUEUE_SIZE, 4096);
	slow = listen_at_port(SLOW, 1);
	other = listen_at_port(OTHER, 1);
}

static void close_all(void)
{
	guest_offer(RIG_QUEUE_SIZE, 4096);
	check_all_returned();
	CHECK(!queues_broken());
	close(slow);
	close(other);
	vsock_rig_close();
}

static unsigned waiting(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < vsock.connections.table.pool.fresh; i++)
		n += vsock.connections.places[i].stream.state == VSOCK_CONNECTING &&
		     vsock.connections.places[i].waiter.end_ms != 0;
	return n;
}

/* Guest ports from `first` on ask for the same host port; as many as there is room for are answered. */
static void ask(uint32_t first, unsigned n, uint32_t port)
{
	unsigned before = waiting();

	lag_ms = LONG_TIME;
	for (unsigned i = 0; i < n; i++)
		guest_send_op(VIRTIO_VSOCK_OP_REQUEST, first + i, port, 0);
	RIG_RUN_UNTIL(waiting() == before + n - ROOM);
	for (unsigned i = 0; i < ROOM; i++)
		guest_expect(VIRTIO_VSOCK_OP_RESPONSE, first + i, port);
	guest_offer(RIG_QUEUE_SIZE, 4096);
	lag_ms = 0;
}

static int accept_one(int listener)
{
	int fd;

	RIG_RUN_UNTIL((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
	return fd;
}

static void end_all(uint32_t first, unsigned n, uint32_t port)
{
	for (unsigned i = 0; i < n; i++)
		guest_send_op(VIRTIO_VSOCK_OP_RST, first + i, port, 0);
}

/* All get their turn, in the order in which they have asked, and each its own socket. */
static void test_all_are_served(void)
{
	static int fds[MANY];
	struct virtio_vsock_hdr header;
	const uint8_t *at;

	open_all();
	ask(1000, MANY, SLOW);
	for (unsigned i = 0, responses = ROOM; i < MANY; i++) {
		fds[i] = accept_one(slow);
		while (guest_receive(&header, &at)) {
			CHECK_EQ(header.op, VIRTIO_VSOCK_OP_RESPONSE);
			CHECK_EQ(header.dst_port, 1000 + responses++);
			guest_offer(RIG_QUEUE_SIZE, 4096);
		}
	}
	for (unsigned i = 0; i < MANY; i += 7) {
		header = guest_header(VIRTIO_VSOCK_OP_RW, 1000 + i, SLOW, 5);
		guest_send(&header, (const uint8_t *)"hello");
		host_expect_text(fds[i], "hello");
	}
	end_all(1000, MANY, SLOW);
	for (unsigned i = 0; i < MANY; i++) {
		host_expect_end(fds[i]);
		close(fds[i]);
	}
	close_all();
}

/* Who waits wakes nobody but for a try now and then, and holds up no other listener: neither one that has
 * room nor one that others wait for. */
static void test_lines_are_apart(void)
{
	open_all();
	ask(1000, MANY, SLOW);
	CHECK(rig_wake_ups(300) < 100); /* 11 tries, of 3 completions or so */
	ask(5000, 10, OTHER);
	for (unsigned i = 0; i < 10; i++)
		close(accept_one(other));
	CHECK_EQ(waiting(), MANY - ROOM);
	end_all(5000, 10, OTHER);
	end_all(1000, MANY, SLOW);
	while (guest_rx_offered() < RIG_QUEUE_SIZE) { /* responses and ends */
		struct virtio_vsock_hdr header;
		const uint8_t *at;
		while (guest_receive(&header, &at))
			CHECK(header.dst_port >= 5000);
		guest_offer(RIG_QUEUE_SIZE, 4096);
	}
	close_all();
}

/* A wait has an end: a RST, to each when its own time is over. */
static void test_time_is_over(void)
{
	open_all();
	ask(1000, ROOM + 1, SLOW);
	for (uint32_t port = 2000; port < 2020; port++) {
		lag_ms = LIMIT_MS; /* theirs is over with the first try */
		guest_send_op(VIRTIO_VSOCK_OP_REQUEST, port, SLOW, 0);
		RIG_RUN_UNTIL(waiting() == port - 2000 + 2);
		lag_ms = 0;
	}
	rig_wake_ups(100);
	CHECK_EQ(waiting(), 21); /* the first has time, and nobody tries before it */
	guest_send_op(VIRTIO_VSOCK_OP_RST, 1000 + ROOM, SLOW, 0);
	for (uint32_t port = 2000; port < 2020; port++)
		guest_expect(VIRTIO_VSOCK_OP_RST, port, SLOW);
	CHECK_EQ(waiting(), 0);
	end_all(1000, ROOM, SLOW);
	close_all();
}

/* The program goes while others wait for it: they hear at once. */
static void test_listener_goes(void)
{
	open_all();
	ask(1000, 50, SLOW);
	for (unsigned i = 0; i < ROOM; i++)
		close(accept_one(slow));
	close(slow);
	for (unsigned seen = ROOM; seen < 50;) {
		struct virtio_vsock_hdr header;
		const uint8_t *at;
		RIG_RUN_UNTIL(guest_receive(&header, &at));
		seen += header.op == VIRTIO_VSOCK_OP_RST;
		guest_offer(RIG_QUEUE_SIZE, 4096);
	}
	CHECK_EQ(waiting(), 0);
	end_all(1000, 50, SLOW);
	slow = -1;
	close_all();
}

/* The guest gives up, the first, the last and those between, in each way; the others are served. */
static void test_guest_gives_up(void)
{
	struct virtio_vsock_hdr header;
	unsigned served = 0;
	const uint8_t *at;

	open_all();
	ask(1000, 40, SLOW);
	for (uint32_t port = 1000 + ROOM; port < 1040; port++) {
		if (port % 4 == 2)
			guest_send_op(VIRTIO_VSOCK_OP_RST, port, SLOW, 0);
		else if (port % 4 == 3)
			guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, port, SLOW, VSOCK_SHUTDOWN_BOTH);
	}
	rig_idle();           /* the device has read all of them before there is room for one */
	while (served < 18) { /* 1004, 1005, 1008, ... */
		close(accept_one(slow));
		while (guest_receive(&header, &at)) {
			served += header.op == VIRTIO_VSOCK_OP_RESPONSE;
			CHECK(header.op != VIRTIO_VSOCK_OP_RESPONSE || header.dst_port % 4 < 2);
			CHECK(header.op != VIRTIO_VSOCK_OP_RST || header.dst_port % 4 == 3);
		}
		guest_offer(RIG_QUEUE_SIZE, 4096);
	}
	for (int fd; (fd = accept4(slow, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
		close(fd);
	CHECK_EQ(waiting(), 0);
	end_all(1000, 40, SLOW);
	close_all();
}

/* A direction that the guest ended before it was connected ends with that. */
static void test_shutdown_while_waiting(void)
{
	for (uint32_t flags = 1; flags < 3; flags++) {
		open_all();
		ask(1000, ROOM + 1, SLOW);
		guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 1000 + ROOM, SLOW, flags);
		rig_idle();
		CHECK_EQ(waiting(), 1);
		for (unsigned i = 0; i < ROOM; i++)
			close(accept_one(slow));
		int fd = accept_one(slow);
		if (flags == VIRTIO_VSOCK_SHUTDOWN_SEND)
			host_expect_end(fd);
		else
			RIG_RUN_UNTIL(send(fd, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
		end_all(1000, ROOM + 1, SLOW);
		host_expect_end(fd);
		close(fd);
		close_all();
	}
}

/* A reset ends all that wait, and connects none of them. */
static void test_reset_while_waiting(void)
{
	open_all();
	ask(1000, MANY, SLOW);
	ask(5000, 10, OTHER);
	guest_reset();
	guest_start();
	guest_offer(RIG_QUEUE_SIZE, 4096);
	RIG_RUN_UNTIL(connections_used() == 0);
	for (unsigned i = 0; i < ROOM; i++) {
		close(accept_one(slow));
		close(accept_one(other));
	}
	rig_wake_ups(100); /* a pause may have been under way */
	CHECK(accept(slow, NULL, NULL) < 0 && accept(other, NULL, NULL) < 0);
	CHECK_EQ(queues_used(VSOCK_RX), 0);
	close(guest_open(1000, SLOW, slow));
	end_all(1000, 1, SLOW);
	close_all();
}

int main(void)
{
	RUN(test_all_are_served);
	RUN(test_lines_are_apart);
	RUN(test_time_is_over);
	RUN(test_listener_goes);
	RUN(test_guest_gives_up);
	RUN(test_shutdown_while_waiting);
	RUN(test_reset_while_waiting);
	return 0;
}
