/* SPDX-License-Identifier: MIT */
/* Chains that are odd: parts of all sizes are taken as they come; what is no packet is left alone, or
 * makes the device ask for a reset. */
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

static void restart(void)
{
	CHECK(queues_broken());
	guest_reset();
	guest_start();
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

/* A receive buffer in as many parts as a queue allows, down to one byte each: headers and data lie
 * one after the other. */
static void test_receive_buffers_in_parts(void)
{
	struct rig_part parts[RIG_QUEUE_SIZE];

	open_all();
	for (unsigned n = 1; n <= RIG_QUEUE_SIZE; n++) {
		struct virtio_vsock_hdr header;
		uint32_t part_bytes = n > 44 ? 1 + n % 3 : 45;
		unsigned used = queues_used(VSOCK_RX);
		for (unsigned i = 0; i < n; i++)
			parts[i] = (struct rig_part){ RX_BUFFER_GPA + i * 64, part_bytes, true };
		if (n > 44 && part_bytes == 1) /* the data in one-byte parts, too */
			parts[0].bytes = 45;
		queues_offer(VSOCK_RX, 0, parts, n); /* for the response */
		guest_send_op(VIRTIO_VSOCK_OP_REQUEST, n, 6000, 0);
		RIG_RUN_UNTIL(queues_used(VSOCK_RX) == used + 1);
		CHECK_EQ(queues_take(VSOCK_RX).len, VSOCK_HEADER_BYTES);
		int fd;
		RIG_RUN_UNTIL((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0);
		queues_offer(VSOCK_RX, 1, parts, n);
		queues_kick(VSOCK_RX);
		CHECK(send(fd, bytes, 1000, 0) == 1000);
		RIG_RUN_UNTIL(queues_used(VSOCK_RX) == 1);
		uint32_t length = queues_take(VSOCK_RX).len, at = 0;
		for (unsigned i = 0; i < n; i++, at += parts[i - 1].bytes)
			memcpy(got + at, rig_at(parts[i].gpa), parts[i].bytes);
		CHECK_EQ(length, at < 1044 ? at : 1044);
		memcpy(&header, got, sizeof(header));
		CHECK_EQ(header.op, VIRTIO_VSOCK_OP_RW);
		CHECK_EQ(header.len, length - VSOCK_HEADER_BYTES);
		CHECK_BYTES(got + VSOCK_HEADER_BYTES, bytes, header.len);
		guest_send_op(VIRTIO_VSOCK_OP_RST, n, 6000, 0);
		host_expect_end(fd);
		close(fd);
		queues_offer(VSOCK_RX, 2, parts, n); /* its turn, with nothing to send */
		queues_kick(VSOCK_RX);
		RIG_RUN_UNTIL(connections_used() == 0);
		guest_reset();
		guest_start();
	}
	CHECK(!queues_broken());
	close_all();
}

/* The same for a read into several buffers of many parts. */
static void test_many_buffers_of_many_parts(void)
{
	struct rig_part parts[RIG_QUEUE_SIZE];
	uint32_t host_port, total = 0;

	open_all();
	guest_offer(2, 4096);
	int fd = host_open(7, &host_port);
	CHECK(send(fd, bytes, 40000, 0) == 40000);
	for (uint16_t head = 2; head < 100; head++) {
		unsigned n = 46 + head % 80;
		for (unsigned i = 0; i < n; i++)
			parts[i] = (struct rig_part){ RX_BUFFER_GPA + head * BUFFER_STEP + i * 8, 8,
						      true };
		queues_offer(VSOCK_RX, head, parts, n);
	}
	queues_kick(VSOCK_RX);
	/* The first two of the driver's buffers took REQUEST and (perhaps) data. */
	for (unsigned packets = 0; total < 40000 && packets < 98; packets++) {
		RIG_RUN_UNTIL(queues_used(VSOCK_RX) > 0);
		struct vring_used_elem used = queues_take(VSOCK_RX);
		const uint8_t *at = rig_at(RX_BUFFER_GPA + used.id * BUFFER_STEP);
		CHECK_BYTES(at + VSOCK_HEADER_BYTES, bytes + total, used.len - VSOCK_HEADER_BYTES);
		total += used.len - VSOCK_HEADER_BYTES;
	}
	CHECK(total > 30000);
	guest_send_op(VIRTIO_VSOCK_OP_RST, 7, host_port, 0);
	host_expect_end(fd);
	close(fd);
	close_all();
}

/* A transmit chain whose header is cut into parts, data behind it in the same part or in others. */
static void test_split_header(void)
{
	struct rig_part parts[RIG_QUEUE_SIZE];
	const uint32_t data_bytes = 200;
	uint64_t position = 0;

	open_all();
	guest_offer(64, 4096);
	int fd = guest_open(1, 6000, listener);
	for (unsigned n = 1; n <= RIG_QUEUE_SIZE; n++, position += data_bytes) {
		struct virtio_vsock_hdr header =
			guest_header(VIRTIO_VSOCK_OP_RW, 1, 6000, data_bytes);
		uint16_t head = guest_tx_head();
		uint64_t gpa = TX_BUFFER_GPA + head * BUFFER_STEP;
		uint32_t at = 0, all = sizeof(header) + data_bytes;
		memcpy(rig_at(gpa), &header, sizeof(header));
		memcpy(rig_at(gpa + sizeof(header)), bytes + position, data_bytes);
		for (unsigned i = 0; i < n; i++) { /* one-byte parts, and the rest in the last */
			uint32_t length = i + 1 < n ? 1 : all - at;
			parts[i] = (struct rig_part){ gpa + at, length, false };
			at += length;
		}
		tx_offered[head] = true;
		queues_offer(VSOCK_TX, head, parts, n);
		queues_kick(VSOCK_TX);
		host_read_pattern(fd, position, data_bytes);
	}
	guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 1, 6000, VSOCK_SHUTDOWN_BOTH);
	guest_expect(VIRTIO_VSOCK_OP_RST, 1, 6000);
	host_expect_end(fd);
	close(fd);
	close_all();
}

/* Less than a header, or a header for the device to write: nothing to answer, the chain comes back.
 * Writable parts behind a packet are left alone. */
static void test_odd_transmit_chains(void)
{
	struct virtio_vsock_hdr header = guest_header(VIRTIO_VSOCK_OP_RW, 9, 9, 0);
	uint64_t gpa = TX_BUFFER_GPA;

	open_all();
	guest_offer(64, 4096);
	memcpy(rig_at(gpa), &header, sizeof(header));
	for (uint32_t n = 1; n <= VSOCK_HEADER_BYTES; n++) {
		struct rig_part parts[] = { { gpa, n, false }, { gpa + 0x1000, 500, true } };
		memset(rig_at(gpa + 0x1000), 0xee, 500);
		queues_offer(VSOCK_TX, 0, parts, 2);
		queues_kick(VSOCK_TX);
		RIG_RUN_UNTIL(queues_used(VSOCK_TX) == 1);
		CHECK_EQ(queues_take(VSOCK_TX).len, 0);
		CHECK_FILLED(rig_at(gpa + 0x1000), 0xee, 500);
		CHECK_EQ(queues_used(VSOCK_RX), n == VSOCK_HEADER_BYTES);
	}
	guest_expect(VIRTIO_VSOCK_OP_RST, 9, 9);
	struct rig_part part = { gpa, 500, true };
	queues_offer(VSOCK_TX, 0, &part, 1);
	queues_kick(VSOCK_TX);
	RIG_RUN_UNTIL(queues_used(VSOCK_TX) == 1);
	CHECK_EQ(queues_take(VSOCK_TX).len, 0);
	CHECK_EQ(queues_used(VSOCK_RX), 0);
	CHECK(!queues_broken());
	close_all();
}

/* Receive chains that no packet fits into, or that are not for writing, break the device; after a
 * reset it works. */
static void test_odd_receive_chains(void)
{
	static const struct {
		struct rig_part parts[2];
		unsigned n;
	} cases[] = {
		{ { { RX_BUFFER_GPA, 1, true } }, 1 },
		{ { { RX_BUFFER_GPA, VSOCK_HEADER_BYTES, true } }, 1 },
		{ { { RX_BUFFER_GPA, 4096, false } }, 1 },
		{ { { RX_BUFFER_GPA, 4096, false }, { RX_BUFFER_GPA, 4096, true } }, 2 },
		{ { { RX_BUFFER_GPA, 4096, true }, { RX_BUFFER_GPA, 4096, false } }, 2 },
		{ { { RX_BUFFER_GPA, 22, true }, { RX_BUFFER_GPA, 22, true } }, 2 },
		{ { { RX_BUFFER_GPA, 4096, true }, { RX_BUFFER_GPA, 0, true } }, 2 },
		{ { { RIG_MEM_BYTES - 100, 4096, true } }, 1 },
		{ { { UINT64_MAX - 100, 4096, true } }, 1 },
		{ { { RX_BUFFER_GPA, 0xffffffff, true } }, 1 },
	};
	uint32_t host_port;

	open_all();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		guest_offer(2, 4096);
		int fd = host_open(7, &host_port);
		queues_offer(VSOCK_RX, 100, cases[i].parts, cases[i].n);
		queues_kick(VSOCK_RX);
		CHECK(send(fd, bytes, 100, 0) == 100);
		RIG_RUN_UNTIL(queues_broken());
		guest_send_op(VIRTIO_VSOCK_OP_RST, 7, host_port, 0); /* not heard */
		rig_idle();
		CHECK_EQ(rig_wake_ups(3), 0);
		restart();
		host_expect_end(fd);
		close(fd);
	}
	close_all();
}

int main(void)
{
	RUN(test_receive_buffers_in_parts);
	RUN(test_many_buffers_of_many_parts);
	RUN(test_split_header);
	RUN(test_odd_transmit_chains);
	RUN(test_odd_receive_chains);
	return 0;
}
