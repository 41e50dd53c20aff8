/* SPDX-License-Identifier: MIT */
/* Host programs that have left: what the monitor keeps of them, descriptors and places. */
#include "tests/unit/check.h"
#include "tests/unit/vsock_streams_rig.h"

#define MOST (VSOCK_MAX_CONNECTIONS - 1) /* and one place for the next program */

/* The guest gives all its receive buffers to the device, which fills them, and offers no more. */
static void starve(void)
{
	struct virtio_vsock_hdr header;
	const uint8_t *at;

	for (unsigned i = 0; guest_rx_offered() > 0; i++) {
		guest_send_op(VIRTIO_VSOCK_OP_RW, 1, 1, 0);
		RIG_RUN_UNTIL(guest_receive(&header, &at));
	}
}

/* A host program that comes now and a connection of the guest are served, once there are buffers; packets
 * of the others come before. */
static void check_both_are_served(void)
{
	struct virtio_vsock_hdr header = { 0 };
	const uint8_t *at;
	int client = host_connect(), accepted;

	host_write(client, "CONNECT 77\n");
	guest_send_op(VIRTIO_VSOCK_OP_REQUEST, 78, PORT, 0);
	RIG_RUN_UNTIL((accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >=
		      0);
	for (unsigned seen = 0; seen < 2;) {
		guest_offer(RIG_QUEUE_SIZE, 4096);
		RIG_RUN_UNTIL(guest_receive(&header, &at));
		if (header.op == VIRTIO_VSOCK_OP_REQUEST && header.dst_port == 77) {
			guest_send_op(VIRTIO_VSOCK_OP_RST, 77, header.src_port, 0);
			seen++;
		} else if (header.op == VIRTIO_VSOCK_OP_RESPONSE) {
			guest_send_op(VIRTIO_VSOCK_OP_RST, header.dst_port, header.src_port, 0);
			seen++;
		}
	}
	host_expect_end(client);
	host_expect_end(accepted);
	close(client);
	close(accepted);
	while (queues_used(VSOCK_RX) > 0)
		guest_receive(&header, &at);
}

/* Programs that leave before the guest has heard of them leave nothing behind. */
static void test_left_before_the_request(void)
{
	open_all();
	starve();
	unsigned before = open_descriptors();
	for (unsigned i = 0; i < VSOCK_MAX_CONNECTIONS + 52; i++) {
		int fd = host_connect();
		host_write(fd, "CONNECT 7\n");
		RIG_RUN_UNTIL(connections_in(VSOCK_REQUESTED) == 1);
		close(fd);
		RIG_RUN_UNTIL(connections_used() == 0);
	}
	CHECK_EQ(open_descriptors(), before);
	CHECK(vsock.connections.table.pool.fresh < 8);
	check_both_are_served();
	close_all();
}

/* Programs that leave when the guest has been asked: what is left is a place each, until another needs it. */
static void test_class_28_slots_held_by_those_who_left(void)
{
	static int fds[MOST];

	open_all();
	starve();
	unsigned before = open_descriptors();
	for (unsigned i = 0; i < MOST; i++) {
		fds[i] = host_connect();
		host_write(fds[i], "CONNECT 7\n");
		guest_offer(1, 4096);
		guest_expect(VIRTIO_VSOCK_OP_REQUEST, 7, 0);
	}
	for (unsigned i = 0; i < MOST; i++)
		close(fds[i]);
	RIG_RUN_UNTIL(open_descriptors() == before);
	CHECK_EQ(guest_rx_offered(), 0);
	check_both_are_served();
	guest_reset();
	guest_start();
	close_all();
}

/* The same when the guest has accepted, or asked: it hears of no end, or it does and says nothing to it. */
static void test_left_after_the_answer(void)
{
	static int fds[MOST];

	for (unsigned kind = 0; kind < 4; kind++) {
		uint32_t host_port;
		open_all();
		unsigned before = open_descriptors();
		for (unsigned i = 0; i < MOST; i++) {
			fds[i] = kind & 1 ? host_open(7, &host_port)
					  : guest_open(1000 + i, PORT, listener);
			guest_offer(RIG_QUEUE_SIZE, 4096);
		}
		if (kind == 0)
			starve();
		for (unsigned i = 0; i < MOST; i++) {
			close(fds[i]);
			if (kind >= 2)
				guest_expect(VIRTIO_VSOCK_OP_SHUTDOWN, kind & 1 ? 7 : 1000 + i, 0);
			guest_offer(kind >= 2, 4096);
		}
		RIG_RUN_UNTIL(open_descriptors() == before);
		check_both_are_served();
		guest_reset();
		guest_start();
		close_all();
	}
}

/* The guest gets the data of a program that it has accepted and that has left. */
static void test_left_with_data(void)
{
	open_all();
	starve();
	guest_offer(1, 4096);
	int fd = guest_open(1, PORT, listener);
	CHECK(send(fd, data, 5000, 0) == 5000);
	close(fd);
	check_still();
	unsigned before = open_descriptors();
	guest_offer(2, 4096);
	CHECK_EQ(guest_expect(VIRTIO_VSOCK_OP_RW, 1, PORT).len, 4096 - VSOCK_HEADER_BYTES);
	CHECK_EQ(guest_expect(VIRTIO_VSOCK_OP_RW, 1, PORT).len, 5000 - 4096 + VSOCK_HEADER_BYTES);
	RIG_RUN_UNTIL(open_descriptors() == before - 1);
	guest_offer(1, 4096);
	CHECK_EQ(guest_expect(VIRTIO_VSOCK_OP_SHUTDOWN, 1, PORT).flags, VSOCK_SHUTDOWN_BOTH);
	guest_sends(1, 100); /* it does not know yet */
	check_still();
	guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 1, PORT, VSOCK_SHUTDOWN_BOTH);
	guest_offer(RIG_QUEUE_SIZE, 4096);
	CHECK_EQ(guest_expect(VIRTIO_VSOCK_OP_RST, 1, PORT).fwd_cnt, 100);
	close_all();
}

/* A program that has left keeps nothing but a place that the next may have, once a worker of the kernel, which a
 * busy machine may keep waiting, has shut its socket down. */
static void check_left_nothing(unsigned descriptors)
{
	RIG_RUN_UNTIL(open_descriptors() == descriptors);
	CHECK(vsock_list_first(&vsock.connections.table.departed) != NULL);
	guest_reset();
	guest_start();
	close_all();
}

/* The guest hears that its program sends no more, and later that it has left, and says nothing to either. */
static void test_left_after_its_end(void)
{
	for (unsigned guests = 0; guests < 2; guests++) {
		uint32_t host_port = PORT;
		open_all();
		unsigned before = open_descriptors();
		int fd = guests ? guest_open(7, PORT, listener) : host_open(7, &host_port);
		CHECK(shutdown(fd, SHUT_WR) == 0);
		CHECK_EQ(guest_expect(VIRTIO_VSOCK_OP_SHUTDOWN, 7, host_port).flags,
			 VIRTIO_VSOCK_SHUTDOWN_SEND);
		check_still();
		close(fd);
		CHECK_EQ(guest_expect(VIRTIO_VSOCK_OP_SHUTDOWN, 7, host_port).flags,
			 VSOCK_SHUTDOWN_BOTH);
		check_left_nothing(before);
	}
}

/* The guest has read the last byte with its last buffer, and no read has found the end. */
static void test_left_after_the_last_buffer(void)
{
	for (unsigned closes_first = 0; closes_first < 2; closes_first++) {
		open_all();
		starve();
		unsigned before = open_descriptors();
		guest_offer(1, 4096);
		int fd = guest_open(7, PORT, listener);
		if (closes_first) {
			CHECK(send(fd, data, 1, 0) == 1);
			close(fd);
			check_still();
			guest_offer(1, 4096);
		} else {
			guest_offer(1, 4096);
			CHECK(send(fd, data, 1, 0) == 1);
		}
		CHECK_EQ(guest_expect(VIRTIO_VSOCK_OP_RW, 7, PORT).len, 1);
		check_still();
		if (!closes_first)
			close(fd);
		check_left_nothing(before);
	}
}

/* The guest reads no more: before its program leaves, or after that, with data that it has not read. */
static void test_left_when_the_guest_is_deaf(void)
{
	for (unsigned kind = 0; kind < 3; kind++) {
		open_all();
		starve();
		unsigned before = open_descriptors();
		guest_offer(1, 4096);
		int fd = guest_open(7, PORT, listener);
		if (kind > 0)
			CHECK(send(fd, data, 1, 0) == 1);
		check_still();
		if (kind == 2)
			close(fd);
		check_still();
		guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 7, PORT, VIRTIO_VSOCK_SHUTDOWN_RCV);
		check_still();
		if (kind < 2)
			close(fd);
		check_left_nothing(before);
	}
}

int main(void)
{
	struct rlimit limit = { 8192, 8192 };

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
		printf("needs 8192 open files: %s\n", strerror(errno));
		return 77;
	}
	RUN(test_left_before_the_request);
	RUN(test_class_28_slots_held_by_those_who_left);
	RUN(test_left_after_the_answer);
	RUN(test_left_with_data);
	RUN(test_left_after_its_end);
	RUN(test_left_after_the_last_buffer);
	RUN(test_left_when_the_guest_is_deaf);
	return 0;
}
