/* SPDX-License-Identifier: MIT */
/* How connections come about, and how not: the dialect of the host's programs, the guest's requests. */
#include "tests/unit/check.h"
#include "tests/unit/vsock_rig.h"

static void open_all(void)
{
	vsock_rig_open();
	guest_start();
	guest_offer(RIG_QUEUE_SIZE, 4096);
}

static void close_all(void)
{
	check_all_returned();
	CHECK(!queues_broken());
	vsock_rig_close();
}

static void test_config(void)
{
	vsock_rig_open();
	CHECK_EQ(driver_read(&rig.transport, VIRTIO_MMIO_DEVICE_ID), 19);
	CHECK_EQ(driver_access(&rig.transport, VIRTIO_MMIO_CONFIG, 8, false, 0), GUEST_CID);
	CHECK_EQ(driver_read(&rig.transport, VIRTIO_MMIO_CONFIG + 4), 0);
	close_all();
}

/* The line comes as it comes; the answer is one line with the port that the request bears. */
static void test_greeting_in_pieces(void)
{
	static const char line[] = "CONNECT 5000\n";
	uint32_t ports[sizeof(line)];

	open_all();
	for (size_t cut = 0; cut < sizeof(line) - 1; cut++) {
		char answer[64];
		int fd = host_connect();
		for (size_t i = 0; i < sizeof(line) - 1; i++) {
			CHECK(send(fd, line + i, 1, 0) == 1);
			if (i == cut || cut == 0) /* 0: each byte alone */
				rig_idle();
		}
		ports[cut] = guest_expect(VIRTIO_VSOCK_OP_REQUEST, 5000, 0).src_port;
		CHECK(ports[cut] >= 0x40000000u);
		for (size_t i = 0; i < cut; i++)
			CHECK(ports[i] != ports[cut]);
		guest_send_op(VIRTIO_VSOCK_OP_RESPONSE, 5000, ports[cut], 0);
		snprintf(answer, sizeof(answer), "OK %u\n", ports[cut]);
		host_expect_text(fd, answer);
		close(fd);
		guest_expect(VIRTIO_VSOCK_OP_SHUTDOWN, 5000, ports[cut]);
		guest_send_op(VIRTIO_VSOCK_OP_RST, 5000, ports[cut], 0);
		guest_offer(RIG_QUEUE_SIZE, 4096);
	}
	close_all();
}

/* Anything else closes the connection, and the guest hears nothing of it. */
static void test_bad_lines(void)
{
	static const struct {
		const char *line;
		size_t bytes;
	} cases[] = {
#define LINE(text) { text, sizeof(text) - 1 }
		LINE("\n"),
		LINE("CONNECT\n"),
		LINE("CONNECT \n"),
		LINE("CONNECT  5000\n"),
		LINE("connect 5000\n"),
		LINE("CONNECT 5000 \n"),
		LINE("CONNECT 5000\r\n"),
		LINE("CONNECT -1\n"),
		LINE("CONNECT +1\n"),
		LINE("CONNECT 0x10\n"),
		LINE("CONNECT 4294967295\n"), /* VMADDR_PORT_ANY */
		LINE("CONNECT 4294967296\n"),
		LINE("CONNECT 18446744073709551617\n"), /* 2^64 + 1 */
		LINE("CONNECT 184467440737095516170000"),
		LINE("CONNECT 5000\0\n"),
		LINE("CONNECT 5000\0000\n"),
		LINE("\0CONNECT 5000\n"),
		LINE("GET / HTTP/1.1\r\n\r\n"),
		LINE("\xff\xff\xff\xff\n"),
		LINE("CONNECT 00000000000000000000005000\n"), /* too long */
		LINE("OK 5000\n"),
	};

	open_all();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int fd = host_connect();
		CHECK(send(fd, cases[i].line, cases[i].bytes, 0) == (ssize_t)cases[i].bytes);
		if (cases[i].line[cases[i].bytes - 1] != '\n')
			CHECK(shutdown(fd, SHUT_WR) == 0); /* the end instead of the line's */
		host_expect_end(fd);
		close(fd);
		CHECK_EQ(queues_used(VSOCK_RX), 0);
	}
	close_all();
}

static void test_port_limits(void)
{
	static const uint32_t ports[] = { 0, 1, 0x3fffffff, 0x40000000, 0x7fffffff, 0xfffffffe };

	open_all();
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		uint32_t host_port;
		int fd = host_open(ports[i], &host_port);
		guest_send_op(VIRTIO_VSOCK_OP_RST, ports[i], host_port, 0);
		host_expect_end(fd);
		close(fd);
	}
	close_all();
}

/* The bytes behind the line belong to the stream; they wait for the guest's answer. */
static void test_data_behind_the_line(void)
{
	struct virtio_vsock_hdr header;
	const uint8_t *data;
	uint32_t host_port;
	int fd;

	open_all();
	fd = host_connect();
	host_write(fd, "CONNECT 7\nCONNECT 8\nhello");
	host_port = guest_expect(VIRTIO_VSOCK_OP_REQUEST, 7, 0).src_port;
	rig_idle();
	CHECK_EQ(queues_used(VSOCK_RX), 0);
	guest_send_op(VIRTIO_VSOCK_OP_RESPONSE, 7, host_port, 0);
	RIG_RUN_UNTIL(queues_used(VSOCK_RX) > 0);
	CHECK(guest_receive(&header, &data));
	CHECK_EQ(header.op, VIRTIO_VSOCK_OP_RW);
	CHECK_EQ(header.len, 15);
	CHECK_BYTES(data, "CONNECT 8\nhello", 15);
	char answer[64];
	snprintf(answer, sizeof(answer), "OK %u\n", host_port);
	host_expect_text(fd, answer);
	close(fd);
	guest_expect(VIRTIO_VSOCK_OP_SHUTDOWN, 7, host_port);
	guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 7, host_port, VSOCK_SHUTDOWN_BOTH);
	guest_expect(VIRTIO_VSOCK_OP_RST, 7, host_port);
	close_all();
}

static void test_nobody_in_the_guest(void)
{
	uint32_t host_port;
	int fd;

	open_all();
	fd = host_connect();
	host_write(fd, "CONNECT 7\n");
	host_port = guest_expect(VIRTIO_VSOCK_OP_REQUEST, 7, 0).src_port;
	guest_send_op(VIRTIO_VSOCK_OP_RST, 7, host_port, 0);
	host_expect_end(fd);
	close(fd);
	CHECK_EQ(queues_used(VSOCK_RX), 0); /* a RST is not answered */
	close_all();
}

/* Without a driver nobody can answer: the host's program is not kept waiting. */
static void test_no_driver(void)
{
	int fd, early;

	vsock_rig_open();
	early = host_connect(); /* says its line only when there is a driver */
	fd = host_connect();
	host_write(fd, "CONNECT 7\n");
	host_expect_end(fd);
	close(fd);
	guest_start();
	guest_offer(4, 4096);
	rig_idle();
	host_write(early, "CONNECT 8\n");
	guest_expect(VIRTIO_VSOCK_OP_REQUEST, 8, 0);
	guest_reset();
	host_expect_end(early);
	close(early);
	close_all();
}

/* A host's program that is gone before the guest's answer frees its place at once. */
static void test_gone_before_the_answer(void)
{
	uint32_t host_port;
	int fd;

	open_all();
	for (int half = 0; half < 2; half++) {
		fd = host_connect();
		host_write(fd, "CONNECT 7\n");
		host_port = guest_expect(VIRTIO_VSOCK_OP_REQUEST, 7, 0).src_port;
		if (half) { /* it may still read: no end */
			CHECK(shutdown(fd, SHUT_WR) == 0);
			rig_idle();
			CHECK_EQ(connections_used(), 1);
			guest_send_op(VIRTIO_VSOCK_OP_RESPONSE, 7, host_port, 0);
			guest_expect(VIRTIO_VSOCK_OP_SHUTDOWN, 7, host_port);
			guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 7, host_port, VSOCK_SHUTDOWN_BOTH);
			guest_expect(VIRTIO_VSOCK_OP_RST, 7, host_port);
		}
		close(fd);
		if (!half)
			guest_expect(VIRTIO_VSOCK_OP_RST, 7, host_port);
		RIG_RUN_UNTIL(connections_used() == 0);
	}
	close_all();
}

static void test_nobody_at_the_path(void)
{
	for (int with_path = 0; with_path < 2; with_path++) {
		vsock_rig_open_at((struct vsock_target){ with_path ? rig_path : NULL, -1 });
		guest_start();
		guest_offer(RIG_QUEUE_SIZE, 4096);
		for (uint32_t port = 1; port < 100; port++) {
			guest_send_op(VIRTIO_VSOCK_OP_REQUEST, port, 0xffffffffu - port, 0);
			guest_expect(VIRTIO_VSOCK_OP_RST, port, 0xffffffffu - port);
		}
		if (with_path) { /* a stale socket, and something else */
			close(listen_at_port(6000, 1));
			guest_send_op(VIRTIO_VSOCK_OP_REQUEST, 1, 6000, 0);
			guest_expect(VIRTIO_VSOCK_OP_RST, 1, 6000);
			char path[96];
			snprintf(path, sizeof(path), "%s_6001", rig_path);
			close(open(path, O_CREAT | O_WRONLY, 0600));
			guest_send_op(VIRTIO_VSOCK_OP_REQUEST, 1, 6001, 0);
			guest_expect(VIRTIO_VSOCK_OP_RST, 1, 6001);
		}
		close_all();
	}
}

/* socket() fails for want of descriptors: the guest is refused, and served when there are some. */
static void test_no_descriptors(void)
{
	struct rlimit limit, none;
	int listener, fd;

	open_all();
	listener = listen_at_port(6000, 8);
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	none = limit;
	none.rlim_cur = 0;
	CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
	guest_send_op(VIRTIO_VSOCK_OP_REQUEST, 1, 6000, 0);
	guest_expect(VIRTIO_VSOCK_OP_RST, 1, 6000);
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	fd = guest_open(1, 6000, listener);
	guest_send_op(VIRTIO_VSOCK_OP_RST, 1, 6000, 0);
	host_expect_end(fd);
	close(fd);
	close(listener);
	close_all();
}

static ring_done_fn *real_accepted;
static int32_t accept_error;
static unsigned accepts_failed;

/* In the place of accepted(): the host was short of something. */
static void accept_failed(struct ring_op *op, int32_t result)
{
	CHECK(result >= 0);
	close(result); /* nobody came */
	accepts_failed++;
	real_accepted(op, accept_error);
}

/* An accept that fails for want of memory or files is tried again, but not in a loop. */
static void test_accept_recovers(void)
{
	static const int errors[] = {
		EMFILE, ENFILE, ENOMEM, ENOBUFS, EAGAIN, ECONNABORTED, EINTR
	};
	uint32_t host_port;

	open_all();
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		RIG_RUN_UNTIL(vsock.listener.place != NULL);
		real_accepted = vsock.listener.accept_op.done;
		vsock.listener.accept_op.done = accept_failed;
		accept_error = -errors[i];
		int lost = host_connect();
		RIG_RUN_UNTIL(accepts_failed == i + 1);
		/* EAGAIN: a non-blocking socket, and somebody else was faster. */
		bool gone_client =
			errors[i] == ECONNABORTED || errors[i] == EINTR || errors[i] == EAGAIN;
		CHECK_EQ(vsock.listener.place != NULL, gone_client); /* the others after a pause */
		host_expect_end(lost);
		close(lost);
		CHECK(rig_wake_ups(50) <= 1);
		int fd = host_open(7, &host_port);
		guest_send_op(VIRTIO_VSOCK_OP_RST, 7, host_port, 0);
		host_expect_end(fd);
		close(fd);
	}
	close_all();
}

/* An inherited socket that is non-blocking is so for others, too, who may take a client away: it is waited
 * for the next one, and not in a loop. */
static void test_non_blocking_listener(void)
{
	uint32_t host_port;
	int fds[20], taken;

	vsock_rig_open();
	CHECK(fcntl(listen_fd, F_SETFL, O_NONBLOCK) ==
	      0); /* the first accept is not under way yet */
	guest_start();
	guest_offer(RIG_QUEUE_SIZE, 4096);
	rig_idle();
	CHECK_EQ(rig_wake_ups(250), 0);
	for (unsigned i = 0; i < 20; i++) {
		int lost = host_connect();
		CHECK((taken = accept(listen_fd, NULL, NULL)) >= 0);
		rig_idle();
		fds[i] = host_open(7, &host_port);
		close(lost);
		close(taken);
	}
	rig_idle();
	CHECK_EQ(rig_wake_ups(250), 0);
	CHECK_EQ(fcntl(listen_fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	guest_reset();
	for (unsigned i = 0; i < 20; i++) {
		host_expect_end(fds[i]);
		close(fds[i]);
	}
	guest_start();
	close_all();
}

int main(void)
{
	RUN(test_config);
	RUN(test_greeting_in_pieces);
	RUN(test_bad_lines);
	RUN(test_port_limits);
	RUN(test_data_behind_the_line);
	RUN(test_nobody_in_the_guest);
	RUN(test_no_driver);
	RUN(test_gone_before_the_answer);
	RUN(test_nobody_at_the_path);
	RUN(test_no_descriptors);
	RUN(test_accept_recovers);
	RUN(test_non_blocking_listener);
	return 0;
}
