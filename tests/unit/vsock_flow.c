/* SPDX-License-Identifier: MIT */
/* Data under pressure: short writes, slow readers, credit that wraps and shrinks, nothing to do. */
#include "tests/unit/check.h"
#include "tests/unit/vsock_rig.h"

#define PORT 6000u

static int listener;
static uint8_t data[VSOCK_PACKET_BYTES], got[1 << 18];

static void open_all(void)
{
	vsock_rig_open();
	guest_start();
	listener = listen_at_port(PORT, 256);
}

static void close_all(void)
{
	guest_offer(RIG_QUEUE_SIZE, 4096);
	check_all_returned();
	CHECK(!queues_broken());
	close(listener);
	vsock_rig_close();
}

/* An open connection from the guest's side. */
struct flow {
	uint32_t port;
	int fd;
	uint64_t guest_sent, told, host_got; /* guest to host */
	uint64_t host_sent, guest_got;
	uint32_t start;     /* of all counters */
	uint32_t buf_alloc; /* that the guest tells */
};

static struct flow open_flow(uint32_t port)
{
	struct flow f = { .port = port, .buf_alloc = 1 << 18 };

	if (guest_rx_offered() == 0)
		guest_offer(1, 4096);
	f.fd = guest_open(port, PORT, listener);
	return f;
}

/* As if this many bytes had gone both ways before. */
static void start_counters_at(struct flow *f, uint32_t start)
{
	struct vsock_stream *stream =
		&vsock_connection_find(&vsock.connections, f->port, PORT)->stream;

	stream->sent = stream->peer_fwd_cnt = start;
	stream->received = stream->forwarded = stream->told = start;
	f->start = start;
}

static void send_credit(struct flow *f, uint16_t op)
{
	struct virtio_vsock_hdr header = guest_header(op, f->port, PORT, 0);

	header.buf_alloc = f->buf_alloc;
	header.fwd_cnt = f->start + (uint32_t)f->guest_got;
	guest_send(&header, NULL);
}

/* Takes all packets; they are of this flow. Returns whether there was one. */
static bool take_packets(struct flow *f)
{
	struct virtio_vsock_hdr header;
	const uint8_t *at;
	bool any = false;

	for (; guest_receive(&header, &at); any = true) {
		CHECK_EQ(header.dst_port, f->port);
		CHECK(header.op == VIRTIO_VSOCK_OP_RW ||
		      header.op >= VIRTIO_VSOCK_OP_CREDIT_UPDATE);
		f->told = (uint32_t)(header.fwd_cnt - f->start);
		CHECK(f->told <= f->guest_sent);
		check_pattern(at, f->port, f->guest_got, header.len);
		f->guest_got += header.len;
		if (header.op == VIRTIO_VSOCK_OP_CREDIT_REQUEST)
			send_credit(f, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	}
	return any;
}

static bool guest_sends(struct flow *f, uint32_t n)
{
	uint64_t credit = VSOCK_BUFFER_BYTES - (f->guest_sent - f->told);

	if (n > credit)
		n = (uint32_t)credit;
	if (n == 0)
		return false;
	struct virtio_vsock_hdr header = guest_header(VIRTIO_VSOCK_OP_RW, f->port, PORT, n);
	header.buf_alloc = f->buf_alloc;
	header.fwd_cnt = f->start + (uint32_t)f->guest_got;
	make_pattern(data, f->port + 1, f->guest_sent, n);
	guest_send(&header, data);
	f->guest_sent += n;
	return true;
}

static void host_reads(struct flow *f, size_t n)
{
	ssize_t r = recv(f->fd, got, n < sizeof(got) ? n : sizeof(got), 0);

	CHECK(r > 0 || (r < 0 && errno == EAGAIN));
	if (r > 0) {
		check_pattern(got, f->port + 1, f->host_got, (size_t)r);
		f->host_got += (size_t)r;
	}
}

static void host_sends(struct flow *f, size_t n)
{
	n = n < sizeof(data) ? n : sizeof(data);
	make_pattern(data, f->port, f->host_sent, n);
	ssize_t r = send(f->fd, data, n, MSG_NOSIGNAL);
	CHECK(r > 0 || errno == EAGAIN);
	f->host_sent += r > 0 ? (size_t)r : 0;
}

static void close_flow(struct flow *f)
{
	guest_offer(RIG_QUEUE_SIZE, 4096);
	guest_send_op(VIRTIO_VSOCK_OP_RST, f->port, PORT, 0);
	host_expect_end(f->fd);
	close(f->fd);
}

/* Both ways at once, `total` bytes each, in pieces of all sizes. */
static void run_stream(struct flow *f, uint64_t total, uint64_t *random)
{
	int64_t end = clock_now_ms() + RIG_WAIT_MS;

	while (f->host_got < total || f->guest_got < total) {
		uint32_t r = (uint32_t)(check_random(random) >> 32);
		CHECK(clock_now_ms() < end);
		if (f->host_sent < total)
			host_sends(f, 1 + r % (total - f->host_sent < 50000 ? total - f->host_sent
									    : 50000));
		if (f->guest_sent < total)
			guest_sends(f, 1 + (r >> 8) % (total - f->guest_sent < 60000
							       ? (uint32_t)(total - f->guest_sent)
							       : 60000));
		guest_offer(1 + r % 7, 45 + (r >> 4) % 9000);
		host_reads(f, 1 + (r >> 3) % 70000);
		CHECK_EQ(ring_wait_for(&rig_ring, 1), 0);
		if (take_packets(f))
			send_credit(f, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	}
	CHECK_EQ(f->host_got, f->guest_sent);
	CHECK_EQ(f->guest_got, f->host_sent);
}

/* Class 10: partial reads and short writes lose, double or reorder nothing, whatever the socket takes. */
static void test_class_10_partial_io_streams(void)
{
	static const int sizes[] = { 0, 1, 8192, 65536 };
	uint64_t random = 10;

	open_all();
	for (unsigned i = 0; i < 8; i++) {
		socket_bytes = sizes[i % 4];
		vsock.sockets.no_nowait = i >= 4;
		struct flow f = open_flow(100 + i * 2);
		guest_offer(RIG_QUEUE_SIZE, 4096);
		run_stream(&f, 3 << 20, &random);
		close_flow(&f);
	}
	socket_bytes = 0;
	close_all();
}

/* Class 21: all four counters go over 2^32 with data on its way. */
static void test_class_21_vsock_credit_wraps(void)
{
	uint64_t random = 21;

	open_all();
	guest_offer(RIG_QUEUE_SIZE, 4096);
	for (unsigned i = 0; i < 4; i++) {
		struct flow f = open_flow(100 + i * 2);
		start_counters_at(&f, 0u - (1u << (18 + i % 2)) - i * 4099);
		run_stream(&f, 2 << 20, &random);
		const struct vsock_stream *stream =
			&vsock_connection_find(&vsock.connections, f.port, PORT)->stream;
		CHECK(stream->sent < f.start && stream->forwarded < f.start);
		close_flow(&f);
	}
	close_all();
}

/* Class 21: the guest's buffer shrinks while data is on its way, below what is unread: nothing more
 * comes until it has room again, however it tells so. */
static void test_class_21_vsock_credit_shrinks(void)
{
	static const uint32_t starts[] = { 0, 0u - 70000 };

	open_all();
	for (unsigned i = 0; i < 2; i++) {
		struct flow f = open_flow(100 + i * 2);
		guest_offer(RIG_QUEUE_SIZE, 4096);
		start_counters_at(&f, starts[i]);
		for (f.buf_alloc = 100000; f.buf_alloc > 0; f.buf_alloc /= 3) {
			uint64_t before = f.guest_got;
			send_credit(&f, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
			while (f.guest_got < before + f.buf_alloc) {
				host_sends(&f, 60000);
				guest_offer(RIG_QUEUE_SIZE, 3000);
				CHECK_EQ(ring_wait_for(&rig_ring, 1), 0);
				struct virtio_vsock_hdr header;
				const uint8_t *at;
				while (guest_receive(
					&header, &at)) { /* it reads nothing, and tells nothing */
					check_pattern(at, f.port, f.guest_got, header.len);
					f.guest_got += header.len;
				}
				CHECK(f.guest_got <= before + f.buf_alloc);
			}
			/* All in its buffer, unread, when that becomes smaller, to nothing, to all. */
			const uint32_t allocs[] = { f.buf_alloc / 2, 0, f.buf_alloc };
			for (unsigned a = 0; a < 3; a++) {
				struct virtio_vsock_hdr header = guest_header(
					VIRTIO_VSOCK_OP_CREDIT_UPDATE, f.port, PORT, 0);
				header.fwd_cnt = f.start + (uint32_t)before;
				header.buf_alloc = allocs[a];
				guest_send(&header, NULL);
				rig_idle();
				const uint8_t *at;
				while (guest_receive(&header, &at))
					CHECK_EQ(header.op, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
			}
		}
		close_flow(&f);
	}
	close_all();
}

/* Each time the credit is used up the guest is asked for more, once. */
static void test_class_21_vsock_credit_is_asked_for(void)
{
	struct virtio_vsock_hdr header;

	open_all();
	struct flow f = open_flow(100);
	guest_offer(RIG_QUEUE_SIZE, 4096);
	f.buf_alloc = 0;
	send_credit(&f, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	rig_idle();
	host_sends(&f, 1000);
	for (f.buf_alloc = 10; f.buf_alloc < 20; f.buf_alloc++) {
		guest_expect(VIRTIO_VSOCK_OP_CREDIT_REQUEST, f.port, PORT);
		rig_idle();
		CHECK_EQ(queues_used(VSOCK_RX), 0);
		send_credit(&f, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
		header = guest_expect(VIRTIO_VSOCK_OP_RW, f.port, PORT);
		CHECK_EQ(header.len, f.buf_alloc);
		f.guest_got += header.len;
	}
	close_flow(&f);
	close_all();
}

/* A claim to have read what was never sent, or a huge buffer, is no credit for more than that. */
static void test_class_21_vsock_credit_lies(void)
{
	open_all();
	guest_offer(4, 4096);
	struct flow f = open_flow(100);
	for (uint32_t lie = 1; lie != 0; lie <<= 1) {
		struct virtio_vsock_hdr header =
			guest_header(VIRTIO_VSOCK_OP_CREDIT_UPDATE, f.port, PORT, 0);
		header.fwd_cnt = lie;
		header.buf_alloc = lie / 2;
		guest_send(&header, NULL);
	}
	rig_idle();
	host_sends(&f, 1000);
	guest_offer(4, 4096);
	rig_idle();
	const uint8_t *at;
	struct virtio_vsock_hdr header;
	while (guest_receive(&header, &at))
		CHECK_EQ(header.op, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	send_credit(&f, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	RIG_RUN_UNTIL((take_packets(&f), f.guest_got == 1000));
	close_flow(&f);
	close_all();
}

/* The guest fills a connection until its credit is used up and the socket takes no more. */
static void fill(struct flow *f)
{
	do {
		for (int i = 0; i < 3; i++)
			CHECK_EQ(ring_wait_for(&rig_ring, 1), 0);
		guest_offer(4, 4096);
		take_packets(f);
	} while (guest_sends(f, 30000));
	CHECK_EQ(f->guest_sent - f->told, VSOCK_BUFFER_BYTES);
}

/* A reader that never reads holds up its own connection only, and that without a sound (class 9). */
static void test_class_9_busy_spin_stalled_reader(void)
{
	uint64_t random = 9;

	open_all();
	for (unsigned i = 0; i < 2; i++) {
		vsock.sockets.no_nowait = i;
		guest_offer(RIG_QUEUE_SIZE, 4096);
		struct flow stuck = open_flow(100), other = open_flow(200);
		fill(&stuck);
		guest_take_tx();
		for (unsigned head = 0; head < RIG_QUEUE_SIZE; head++)
			CHECK(!tx_offered[head]); /* it keeps no chain */
		run_stream(&other, 1 << 20, &random);
		rig_idle();
		CHECK_EQ(rig_wake_ups(30), 0);
		while (stuck.host_got < stuck.guest_sent) { /* and goes on when it reads */
			host_reads(&stuck, 10000);
			CHECK_EQ(ring_wait_for(&rig_ring, 1), 0);
			guest_offer(4, 4096);
			take_packets(&stuck);
		}
		close_flow(&stuck);
		close_flow(&other);
	}
	close_all();
}

/* Class 9: whatever is waited for, nobody looks again and again. */
static void test_class_9_busy_spin_idle_and_starved(void)
{
	open_all();
	rig_idle();
	CHECK_EQ(rig_wake_ups(30), 0); /* nobody there */
	struct flow f = open_flow(100), g = open_flow(200);
	rig_idle();
	CHECK_EQ(rig_wake_ups(30), 0); /* nothing to say */
	host_sends(&f, 5000);
	host_sends(&g, 5000);
	rig_idle();
	CHECK_EQ(rig_wake_ups(30), 0); /* no receive buffer */
	guest_offer(1, 145);           /* one each way: 100 bytes, and the rest waits */
	rig_idle();
	CHECK_EQ(rig_wake_ups(30), 0);
	f.buf_alloc = 0;
	send_credit(&f, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	guest_send_op(VIRTIO_VSOCK_OP_RST, g.port, PORT, 0);
	guest_offer(RIG_QUEUE_SIZE, 4096);
	RIG_RUN_UNTIL(connections_used() ==
		      1); /* the other's end goes through a worker of the kernel */
	rig_idle();
	CHECK_EQ(rig_wake_ups(30), 0); /* no credit */
	host_expect_end(g.fd);
	close(g.fd);
	f.buf_alloc = 1 << 18;
	close_flow(&f);
	close_all();
}

/* Class 9: the guest takes no replies: its packets wait, and go on when it does. */
static void test_class_9_busy_spin_replies_not_taken(void)
{
	const unsigned total = VSOCK_MAX_REPLIES + RIG_QUEUE_SIZE;
	unsigned sent = 0;

	open_all();
	for (; sent < total; sent++)
		guest_send_op(VIRTIO_VSOCK_OP_RW, sent, 9, 0);
	rig_idle();
	CHECK_EQ(vsock.connections.table.n_replies, VSOCK_MAX_REPLIES);
	CHECK_EQ(rig_wake_ups(30), 0);
	for (unsigned i = 0; i < total; i++) {
		guest_offer(1, 45);
		guest_expect(VIRTIO_VSOCK_OP_RST, i, 9);
	}
	rig_idle();
	CHECK_EQ(queues_used(VSOCK_RX), 0);
	close_all();
}

int main(void)
{
	RUN(test_class_10_partial_io_streams);
	RUN(test_class_21_vsock_credit_wraps);
	RUN(test_class_21_vsock_credit_shrinks);
	RUN(test_class_21_vsock_credit_is_asked_for);
	RUN(test_class_21_vsock_credit_lies);
	RUN(test_class_9_busy_spin_stalled_reader);
	RUN(test_class_9_busy_spin_idle_and_starved);
	RUN(test_class_9_busy_spin_replies_not_taken);
	return 0;
}
