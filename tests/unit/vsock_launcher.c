/* SPDX-License-Identifier: MIT */
/* The guest's connections, each offered to the launcher with a socket of its own. */
#include "tests/unit/check.h"
#include "tests/unit/lagging_clock.h"
#include "tests/unit/receive_descriptor.h"
#include "tests/unit/vsock_rig.h"

#define PORT     6000u
#define MANY     300u
#define LIMIT_MS 2000

static int launcher;

/* queue_bytes: the least that the launcher's queue may have, which is a few messages; 0: hundreds. */
static void open_all(int queue_bytes)
{
	int ends[2];

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	launcher = ends[0];
	if (queue_bytes > 0)
		CHECK(setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &queue_bytes,
				 sizeof(queue_bytes)) == 0);
	vsock_rig_open_at((struct vsock_target){ NULL, ends[1] });
	guest_start();
	guest_offer(RIG_QUEUE_SIZE, 4096);
}

static void close_all(void)
{
	guest_offer(RIG_QUEUE_SIZE, 4096);
	check_all_returned();
	CHECK(!queues_broken());
	if (launcher >= 0)
		close(launcher);
	close(vsock.connections.target.launcher_fd);
	vsock_rig_close();
}

/* The launcher's next message is an offer of `port`. Returns the socket, non-blocking. */
static int take_offer(uint32_t port)
{
	uint8_t message[16];
	ssize_t n;
	int fd;

	RIG_RUN_UNTIL((n = receive_descriptor(launcher, message, sizeof(message), &fd)) >= 0);
	CHECK_EQ(n, 4);
	CHECK_EQ(message[0] | message[1] << 8 | message[2] << 16 | (uint32_t)message[3] << 24,
		 port);
	CHECK(fd >= 0);
	/* As from accept(): its flags are nobody else's, and it waits. */
	CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	return fd;
}

static void ask(uint32_t guest_port, uint32_t port)
{
	guest_send_op(VIRTIO_VSOCK_OP_REQUEST, guest_port, port, 0);
}

static unsigned waiting(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < vsock.connections.table.pool.fresh; i++)
		n += vsock.connections.places[i].stream.state == VSOCK_CONNECTING &&
		     vsock.connections.places[i].waiter.end_ms != 0;
	return n;
}

/* Asks MANY times, more than the launcher's queue holds; returns how many it holds. */
static unsigned ask_many(void)
{
	struct virtio_vsock_hdr header;
	const uint8_t *at;
	unsigned answered = 0;

	lag_ms = LONG_TIME;
	for (unsigned i = 0; i < MANY; i++)
		ask(1000 + i, PORT + i);
	do {
		rig_idle();
		while (guest_receive(&header, &at)) {
			CHECK_EQ(header.op, VIRTIO_VSOCK_OP_RESPONSE);
			CHECK_EQ(header.dst_port, 1000 + answered++);
			guest_offer(RIG_QUEUE_SIZE, 4096);
		}
	} while (answered + waiting() < MANY);
	lag_ms = 0;
	CHECK(answered > 0 && answered < MANY);
	return answered;
}

static void test_a_stream_each(void)
{
	static const uint32_t ports[] = { 0, 1, 6000, 0x01020304, UINT32_MAX };
	unsigned before = open_descriptors();

	open_all(0);
	for (uint32_t i = 0; i < 5; i++) {
		struct virtio_vsock_hdr header;
		const uint8_t *at;
		ask(1000 + i, ports[i]);
		guest_expect(VIRTIO_VSOCK_OP_RESPONSE, 1000 + i, ports[i]);
		int fd = take_offer(ports[i]);
		header = guest_header(VIRTIO_VSOCK_OP_RW, 1000 + i, ports[i], 5);
		guest_send(&header, (const uint8_t *)"hello");
		host_expect_text(fd, "hello");
		host_write(fd, "and back");
		do
			RIG_RUN_UNTIL(guest_receive(&header, &at));
		while (header.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE);
		CHECK_EQ(header.op, VIRTIO_VSOCK_OP_RW);
		CHECK_EQ(header.len, 8);
		CHECK_BYTES(at, "and back", 8);
		guest_offer(RIG_QUEUE_SIZE, 4096);
		if (i % 2 == 0) {
			guest_send_op(VIRTIO_VSOCK_OP_RST, 1000 + i, ports[i], 0);
			host_expect_end(fd);
			close(fd);
		} else {
			close(fd);
			guest_expect(VIRTIO_VSOCK_OP_SHUTDOWN, 1000 + i, ports[i]);
			guest_send_op(VIRTIO_VSOCK_OP_RST, 1000 + i, ports[i], 0);
		}
	}
	close_all();
	CHECK_EQ(open_descriptors(), before);
}

/* A launcher that takes its time: all wait, and are served in their order. */
static void test_full_queue(void)
{
	unsigned before = open_descriptors();

	open_all(1);
	unsigned answered = ask_many();
	for (unsigned i = 0; i < MANY; i++) {
		struct virtio_vsock_hdr header;
		const uint8_t *at;
		close(take_offer(PORT + i));
		guest_send_op(VIRTIO_VSOCK_OP_RST, 1000 + i, PORT + i, 0);
		while (guest_receive(&header, &at)) {
			if (header.op == VIRTIO_VSOCK_OP_RESPONSE)
				CHECK_EQ(header.dst_port, 1000 + answered++);
			guest_offer(RIG_QUEUE_SIZE, 4096);
		}
	}
	close_all();
	CHECK_EQ(open_descriptors(), before);
}

/* One that takes nothing: a RST when the time is over, and no wake-ups but a try now and then. */
static void test_time_is_over(void)
{
	open_all(1);
	unsigned answered = ask_many();
	CHECK(rig_wake_ups(300) < 100);
	CHECK_EQ(waiting(), MANY - answered);
	lag_ms = 2 * LONG_TIME;
	for (unsigned i = answered; i < MANY; i++) {
		guest_expect(VIRTIO_VSOCK_OP_RST, 1000 + i, PORT + i);
		guest_offer(RIG_QUEUE_SIZE, 4096);
	}
	lag_ms = 0;
	CHECK_EQ(waiting(), 0);
	for (unsigned i = 0; i < answered; i++)
		guest_send_op(VIRTIO_VSOCK_OP_RST, 1000 + i, PORT + i, 0);
	close_all();
}

/* The launcher ends: who waits hears at once, and so does who comes later; what it has not taken ends, too. */
static void test_launcher_goes(void)
{
	unsigned before = open_descriptors(), resets = 0;

	open_all(1);
	unsigned answered = ask_many();
	close(take_offer(PORT));
	close(launcher);
	launcher = -1;
	while (resets < MANY - answered) {
		struct virtio_vsock_hdr header;
		const uint8_t *at;
		RIG_RUN_UNTIL(guest_receive(&header, &at));
		resets += header.op == VIRTIO_VSOCK_OP_RST && header.dst_port >= 1000 + answered;
		guest_offer(RIG_QUEUE_SIZE, 4096);
	}
	for (unsigned i = 0; i < answered; i++)
		guest_send_op(VIRTIO_VSOCK_OP_RST, 1000 + i, PORT + i, 0);
	RIG_RUN_UNTIL(connections_used() == 0);
	while (guest_rx_offered() < RIG_QUEUE_SIZE) {
		struct virtio_vsock_hdr header;
		const uint8_t *at;
		while (guest_receive(&header, &at))
			;
		guest_offer(RIG_QUEUE_SIZE, 4096);
	}
	ask(5000, PORT);
	guest_expect(VIRTIO_VSOCK_OP_RST, 5000, PORT);
	close_all();
	CHECK_EQ(open_descriptors(), before);
}

/* The guest gives up, and a reset ends what waits: nothing of it is offered later. */
static void test_guest_goes(void)
{
	unsigned before = open_descriptors();
	uint8_t message[16];
	int fd;

	open_all(1);
	unsigned answered = ask_many();
	for (unsigned i = answered; i < MANY; i += 2)
		guest_send_op(VIRTIO_VSOCK_OP_RST, 1000 + i, PORT + i, 0);
	rig_idle();
	guest_reset();
	guest_start();
	guest_offer(RIG_QUEUE_SIZE, 4096);
	RIG_RUN_UNTIL(connections_used() == 0);
	for (unsigned i = 0; i < answered; i++) {
		fd = take_offer(PORT + i);
		host_expect_end(fd);
		close(fd);
	}
	rig_wake_ups(100);
	CHECK(receive_descriptor(launcher, message, sizeof(message), &fd) < 0 && errno == EAGAIN);
	ask(1000, PORT);
	guest_expect(VIRTIO_VSOCK_OP_RESPONSE, 1000, PORT);
	fd = take_offer(PORT);
	guest_send_op(VIRTIO_VSOCK_OP_RST, 1000, PORT, 0);
	host_expect_end(fd);
	close(fd);
	close_all();
	CHECK_EQ(open_descriptors(), before);
}

/* Without a descriptor for the pair: a RST, and the next one is served. */
static void test_no_descriptor(void)
{
	struct rlimit limit, none;

	open_all(0);
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	none = (struct rlimit){ 4, limit.rlim_max };
	CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
	ask(1000, PORT);
	guest_expect(VIRTIO_VSOCK_OP_RST, 1000, PORT);
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	ask(1001, PORT);
	guest_expect(VIRTIO_VSOCK_OP_RESPONSE, 1001, PORT);
	close(take_offer(PORT));
	guest_send_op(VIRTIO_VSOCK_OP_RST, 1001, PORT, 0);
	close_all();
}

int main(void)
{
	RUN(test_a_stream_each);
	RUN(test_full_queue);
	RUN(test_time_is_over);
	RUN(test_launcher_goes);
	RUN(test_guest_goes);
	RUN(test_no_descriptor);
	return 0;
}
