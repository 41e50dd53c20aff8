/* SPDX-License-Identifier: MIT */
/* Packets that are wrong: the guest gets the RST that is due, and no more than that. */
#include "tests/unit/check.h"
#include "tests/unit/vsock_rig.h"

static uint8_t bytes[VSOCK_PACKET_BYTES + 4096], got[VSOCK_PACKET_BYTES + 4096];
static int listener;

static void open_all(void)
{
	vsock_rig_open();
	guest_start();
	listener = listen_at_port(6000, 64);
	make_pattern(bytes, 1, 0, sizeof(bytes));
}

static void close_all(void)
{
	check_all_returned();
	close(listener);
	vsock_rig_close();
}

/* Reads n bytes of the pattern at `position` on the host's side. */
static void host_read_pattern(int fd, uint64_t position, size_t n)
{
	for (size_t have = 0; have < n;) {
		ssize_t r;
		RIG_RUN_UNTIL((r = recv(fd, got, n - have, 0)) >= 0 || errno != EAGAIN);
		CHECK(r > 0);
		CHECK_BYTES(got, bytes + position + have, (size_t)r);
		have += (size_t)r;
	}
}

static bool host_has_nothing(int fd)
{
	return recv(fd, got, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

/* One field wrong, on an open stream that must live on: nobody to answer to, or a RST for a packet of
 * no stream (5.10.6: an unknown type). */
static void test_wrong_addresses_and_types(void)
{
	static const uint64_t cids[] = {
		0,         1, 3, GUEST_CID + 1, 0xffffffff, 1ull << 32 | GUEST_CID, 1ull << 32 | 2,
		UINT64_MAX
	};
	static const uint16_t types[] = { 0, 2, 3, 0x100, 0x101, 0x8001, 0xffff };

	open_all();
	guest_offer(64, 4096);
	int fd = guest_open(1, 6000, listener);
	for (uint16_t op = 0; op < 10; op++) {
		struct virtio_vsock_hdr header = guest_header(op, 1, 6000, 10);
		for (size_t i = 0; i < sizeof(cids) / sizeof(cids[0]); i++) {
			header.src_cid = cids[i];
			guest_send(&header, bytes);
			header.src_cid = GUEST_CID;
			header.dst_cid = cids[i];
			guest_send(&header, bytes);
			header.dst_cid = VMADDR_CID_HOST;
		}
		rig_idle();
		CHECK_EQ(queues_used(VSOCK_RX), 0);
		for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
			header.type = types[i];
			guest_send(&header, bytes);
			if (op != VIRTIO_VSOCK_OP_RST)
				CHECK_EQ(guest_expect(VIRTIO_VSOCK_OP_RST, 1, 6000).type, types[i]);
			guest_offer(1, 4096);
		}
	}
	rig_idle();
	CHECK_EQ(queues_used(VSOCK_RX), 0);
	CHECK(host_has_nothing(fd));
	struct virtio_vsock_hdr header = guest_header(VIRTIO_VSOCK_OP_RW, 1, 6000, 10);
	guest_send(&header, bytes);
	host_read_pattern(fd, 0, 10);
	guest_send_op(VIRTIO_VSOCK_OP_RST, 1, 6000, 0);
	host_expect_end(fd);
	close(fd);
	close_all();
}

/* An operation that no stream knows, or not in this state: RST, and the stream is over. */
static void test_wrong_operations(void)
{
	open_all();
	guest_offer(64, 4096);
	for (unsigned op = 0; op <= 0xffff; op = op < 300 ? op + 1 : op + 977) {
		bool open_only = op >= VIRTIO_VSOCK_OP_RST &&
				 op <= VIRTIO_VSOCK_OP_CREDIT_REQUEST &&
				 op != VIRTIO_VSOCK_OP_RESPONSE;
		if (op != VIRTIO_VSOCK_OP_REQUEST && op != VIRTIO_VSOCK_OP_RST) {
			guest_send_op((uint16_t)op, 9, 9, 0xffffffff); /* no such stream */
			guest_expect(VIRTIO_VSOCK_OP_RST, 9, 9);
		}
		if (!open_only) {
			int fd = guest_open(1, 6000, listener);
			guest_send_op((uint16_t)op, 1, 6000, 0);
			guest_expect(VIRTIO_VSOCK_OP_RST, 1, 6000);
			host_expect_end(fd);
			close(fd);
			RIG_RUN_UNTIL(connections_used() == 0);
		}
		guest_offer(64, 4096);
	}
	close_all();
}

/* Flags and lengths that mean nothing are not looked at; SHUTDOWN of nothing does nothing. */
static void test_meaningless_fields(void)
{
	open_all();
	guest_offer(64, 4096);
	int fd = guest_open(1, 6000, listener);
	struct virtio_vsock_hdr header = guest_header(VIRTIO_VSOCK_OP_RW, 1, 6000, 10);
	header.flags = 0xffffffff;
	guest_send(&header, bytes);
	guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 1, 6000, 0);
	guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 1, 6000, ~(uint32_t)VSOCK_SHUTDOWN_BOTH);
	guest_send_op(VIRTIO_VSOCK_OP_RW, 1, 6000, 0); /* no data */
	guest_send_op(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 1, 6000, 0xffffffff);
	header = guest_header(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 1, 6000, 10);
	guest_send(&header, bytes);
	host_read_pattern(fd, 0, 10);
	rig_idle();
	CHECK_EQ(queues_used(VSOCK_RX), 0);
	guest_send_op(VIRTIO_VSOCK_OP_CREDIT_REQUEST, 1, 6000, 0);
	CHECK_EQ(guest_expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 1, 6000).fwd_cnt, 10);
	CHECK(host_has_nothing(fd));
	guest_send_op(VIRTIO_VSOCK_OP_RST, 1, 6000, 0);
	host_expect_end(fd);
	close(fd);
	close_all();
}

/* Data after the guest's own end, or one byte more than its credit: RST, and none of it goes out. */
static void test_data_that_is_not_allowed(void)
{
	open_all();
	guest_offer(64, 4096);
	for (int over_credit = 0; over_credit < 2; over_credit++) {
		struct virtio_vsock_hdr header = guest_header(VIRTIO_VSOCK_OP_RW, 1, 6000, 32768);
		int fd = guest_open(1, 6000, listener);
		const struct vsock_stream *stream =
			&vsock_connection_find(&vsock.connections, 1, 6000)->stream;
		size_t sent = 0, have = 0;
		ssize_t r;
		for (; over_credit && stream->received - stream->forwarded != VSOCK_BUFFER_BYTES;
		     sent += header.len) { /* until nothing is left */
			uint32_t room = VSOCK_BUFFER_BYTES - (stream->received - stream->forwarded);
			header.len = room < 32768 ? room : 32768;
			guest_send(&header, bytes);
			rig_idle();
		}
		while (queues_used(VSOCK_RX) > 0)
			guest_expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 1, 6000);
		if (!over_credit)
			guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 1, 6000,
				      VIRTIO_VSOCK_SHUTDOWN_SEND);
		header.len = 1;
		guest_send(&header, bytes);
		guest_expect(VIRTIO_VSOCK_OP_RST, 1, 6000);
		do {
			RIG_RUN_UNTIL((r = recv(fd, got, sizeof(got), 0)) >= 0 || errno != EAGAIN);
			have += r > 0 ? (size_t)r : 0;
		} while (r > 0);
		CHECK(have <= sent);
		close(fd);
		RIG_RUN_UNTIL(connections_used() == 0);
		guest_offer(64, 4096);
	}
	close_all();
}

/* Sends a header and `there` bytes behind it. */
static void send_with(uint32_t told, uint32_t there)
{
	struct virtio_vsock_hdr header = guest_header(VIRTIO_VSOCK_OP_RW, 1, 6000, told);
	uint16_t head = guest_tx_head();
	uint64_t gpa = TX_BUFFER_GPA + head * BUFFER_STEP;
	struct rig_part part = { gpa, (uint32_t)sizeof(header) + there, false };

	memcpy(rig_at(gpa), &header, sizeof(header));
	memcpy(rig_at(gpa + sizeof(header)), bytes, there);
	tx_offered[head] = true;
	queues_offer(VSOCK_TX, head, &part, 1);
	queues_kick(VSOCK_TX);
}

/* A length that is not there, or more than a packet may have: the stream has lost bytes and ends. One
 * that leaves bytes over does not count them. */
static void test_wrong_lengths(void)
{
	static const struct {
		uint32_t told, there;
		bool right;
	} cases[] = {
		{ 10, 10, true },
		{ 10, 11, true },
		{ 1, 4000, true },
		{ 0, 4000, true },
		{ VSOCK_PACKET_BYTES, VSOCK_PACKET_BYTES, true },
		{ 11, 10, false },
		{ 1, 0, false },
		{ VSOCK_PACKET_BYTES, VSOCK_PACKET_BYTES - 1, false },
		{ VSOCK_PACKET_BYTES + 1, VSOCK_PACKET_BYTES + 1, false },
		{ 0x7fffffff, 100, false },
		{ 0xffffffff, 100, false },
		{ 0u - VSOCK_HEADER_BYTES, 100, false },
	};

	open_all();
	guest_offer(128, 4096);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int fd = guest_open(1, 6000, listener);
		send_with(cases[i].told, cases[i].there);
		if (cases[i].right) {
			host_read_pattern(fd, 0, cases[i].told);
			CHECK(host_has_nothing(fd));
			guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 1, 6000, VSOCK_SHUTDOWN_BOTH);
			do
				guest_offer(1, 4096);
			while (cases[i].told >= VSOCK_BUFFER_BYTES / 2 &&
			       guest_expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 1, 6000).op == 0);
		}
		guest_expect(VIRTIO_VSOCK_OP_RST, 1, 6000);
		host_expect_end(fd);
		close(fd);
		RIG_RUN_UNTIL(connections_used() == 0);
		send_with(cases[i].told, cases[i].there); /* and of no stream */
		guest_expect(VIRTIO_VSOCK_OP_RST, 1, 6000);
	}
	CHECK(!queues_broken());
	close_all();
}

/* Packets both ways, the data in them, and what nobody wanted. */
static void test_counters(void)
{
	open_all();
	guest_offer(64, 4096);
	int fd = guest_open(1, 6000, listener);
	struct device_counters before = vsock.device.count;
	struct virtio_vsock_hdr header = guest_header(VIRTIO_VSOCK_OP_RW, 1, 6000, 10);
	CHECK_EQ(before.requests, 1);
	guest_send(&header, bytes);
	host_read_pattern(fd, 0, 10);
	CHECK_EQ(vsock.device.count.out_bytes, 10);
	CHECK_EQ(vsock.device.count.requests, 2);
	CHECK_EQ(send(fd, bytes, 9000, 0), 9000);
	RIG_RUN_UNTIL(vsock.device.count.in_bytes == 9000);
	CHECK_EQ(vsock.device.count.requests, 5); /* 4052 bytes fit behind a header */
	CHECK_EQ(vsock.device.count.errors, 0);
	guest_send_op(VIRTIO_VSOCK_OP_RW, 9, 9000, 0);
	RIG_RUN_UNTIL(vsock.device.count.errors == 1);
	guest_send_op(VIRTIO_VSOCK_OP_RST, 1, 6000, 0);
	close(fd);
	close_all();
}

int main(void)
{
	RUN(test_wrong_addresses_and_types);
	RUN(test_wrong_operations);
	RUN(test_meaningless_fields);
	RUN(test_data_that_is_not_allowed);
	RUN(test_wrong_lengths);
	RUN(test_counters);
	return 0;
}
