/* SPDX-License-Identifier: MIT */
/* The most that a guest can take of the monitor: connections, memory, time. */
#include <time.h>

#include "tests/unit/check.h"
#include "tests/unit/vsock_rig.h"

#define PORT 6000u

static int listener;
static uint8_t data[VSOCK_PACKET_BYTES], got[VSOCK_PACKET_BYTES];

static void open_all(void)
{
	vsock_rig_open();
	guest_start();
	listener = listen_at_port(PORT, 4096);
	guest_offer(RIG_QUEUE_SIZE, 4096);
	make_pattern(data, 1, 0, sizeof(data));
}

static void close_all(void)
{
	guest_offer(RIG_QUEUE_SIZE, 4096);
	check_all_returned();
	CHECK(!queues_broken());
	close(listener);
	vsock_rig_close();
}

static void guest_sends(uint32_t port, uint32_t n)
{
	struct virtio_vsock_hdr header = guest_header(VIRTIO_VSOCK_OP_RW, port, PORT, n);

	guest_send(&header, data);
}

static void check_works(int fd, uint32_t port)
{
	ssize_t r;

	guest_sends(port, 100);
	RIG_RUN_UNTIL((r = recv(fd, got, sizeof(got), 0)) >= 0 || errno != EAGAIN);
	CHECK_EQ(r, 100);
	CHECK_BYTES(got, data, 100);
	CHECK(send(fd, data, 50, 0) == 50);
	CHECK_EQ(guest_expect(VIRTIO_VSOCK_OP_RW, port, PORT).len, 50);
	guest_offer(8, 4096);
}

/* All 2,048 connections are in use: the guest is refused, the host's programs wait; each place that
 * becomes free is used again. One place is always kept for the host's programs. */
static void test_all_connections(void)
{
	static int fds[VSOCK_MAX_CONNECTIONS];
	const uint32_t last = VSOCK_MAX_CONNECTIONS - 1;
	uint32_t host_port;

	open_all();
	for (unsigned round = 0; round < 2; round++) {
		for (uint32_t port = 0; port < last; port++) {
			fds[port] = guest_open(port, PORT, listener);
			guest_offer(8, 4096);
		}
		guest_send_op(VIRTIO_VSOCK_OP_REQUEST, last, PORT, 0);
		guest_expect(VIRTIO_VSOCK_OP_RST, last, PORT);
		fds[last] = host_open(9000, &host_port);
		CHECK_EQ(connections_used(), VSOCK_MAX_CONNECTIONS);
		int waiting = host_connect();
		host_write(waiting, "CONNECT 9001\n");
		guest_send_op(VIRTIO_VSOCK_OP_REQUEST, last, PORT, 0);
		guest_expect(VIRTIO_VSOCK_OP_RST, last, PORT);
		rig_idle();
		CHECK_EQ(rig_wake_ups(20), 0);
		for (uint32_t port = 0; port < last; port += 97)
			check_works(fds[port], port);
		close(fds[5]);
		guest_offer(8, 4096);
		guest_expect(VIRTIO_VSOCK_OP_SHUTDOWN, 5, PORT);
		guest_send_op(VIRTIO_VSOCK_OP_SHUTDOWN, 5, PORT, VSOCK_SHUTDOWN_BOTH);
		guest_expect(VIRTIO_VSOCK_OP_RST, 5, PORT);
		guest_expect(VIRTIO_VSOCK_OP_REQUEST, 9001, 0);
		CHECK_EQ(connections_used(), VSOCK_MAX_CONNECTIONS);
		close(waiting);
		guest_offer(8, 4096);
		guest_expect(VIRTIO_VSOCK_OP_RST, 9001, 0);
		if (round == 0) { /* by a reset, all at once */
			guest_reset();
			for (unsigned i = 0; i <= last; i++)
				if (i != 5)
					host_expect_end(fds[i]);
			guest_start();
			guest_offer(RIG_QUEUE_SIZE, 4096);
		}
		for (unsigned i = 0; i <= last; i++) {
			if (round == 1 && i != 5)
				guest_send_op(VIRTIO_VSOCK_OP_RST, i < last ? i : 9000,
					      i < last ? PORT : host_port, 0);
			if (i != 5)
				close(fds[i]);
		}
		guest_offer(RIG_QUEUE_SIZE, 4096);
		check_all_returned();
	}
	close_all();
}

static long resident_kib(void)
{
	long all, resident;
	FILE *file = fopen("/proc/self/statm", "r");

	CHECK(file != NULL && fscanf(file, "%ld %ld", &all, &resident) == 2);
	fclose(file);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Class 8: what a connection holds is bounded, and given back at its end. */
static void test_class_8_guest_sized_memory_connections(void)
{
	enum {
		N = 100
	};
	int fds[N];

	open_all();
	memset(rig_at(RX_BUFFER_GPA), 1, TX_BUFFER_GPA - RX_BUFFER_GPA); /* the guest's own */
	memset(rig_at(TX_BUFFER_GPA), 1, RIG_QUEUE_SIZE * BUFFER_STEP);
	for (unsigned round = 0; round < 3; round++) {
		long before = resident_kib();
		for (unsigned i = 0; i < N; i++) {
			fds[i] = guest_open(i, PORT, listener);
			guest_offer(8, 4096);
		}
		for (unsigned i = 0; i < N; i++) {
			const struct vsock_stream *s =
				&vsock_connection_find(&vsock.connections, i, PORT)->stream;
			do {
				guest_sends(i, 32768);
				rig_idle();
			} while (s->received - s->forwarded <= VSOCK_BUFFER_BYTES - 32768);
		}
		long full = resident_kib();
		CHECK(full - before < N * (long)VSOCK_BUFFER_BYTES / 1024 + 2048);
		CHECK(full - before > N * (long)VSOCK_BUFFER_BYTES / 1024 / 2); /* it measures */
		for (unsigned i = 0; i < N; i++) {
			guest_sends(i, sizeof(data)); /* more than it may: the end */
			close(fds[i]);
		}
		guest_reset();
		check_all_returned();
		CHECK(resident_kib() - before < 4096);
		guest_start();
		guest_offer(RIG_QUEUE_SIZE, 4096);
	}
	close_all();
}

/* Class 8: descriptors of gigabytes, in number as many as a queue has, cost no memory. */
static void test_class_8_guest_sized_memory_descriptors(void)
{
	struct rig_part parts[RIG_QUEUE_SIZE];
	struct virtio_vsock_hdr header;
	int fd;

	open_all();
	guest_reset();
	guest_start();
	memset(rig_at(RX_BUFFER_GPA), 1, RIG_MEM_BYTES - RX_BUFFER_GPA);
	for (unsigned i = 0; i < RIG_QUEUE_SIZE; i++)
		parts[i] = (struct rig_part){ RX_BUFFER_GPA, RIG_MEM_BYTES - RX_BUFFER_GPA, true };
	long before = resident_kib();
	for (unsigned round = 0; round < 20; round++) {
		queues_offer(VSOCK_RX, 0, parts, RIG_QUEUE_SIZE);
		queues_offer(VSOCK_RX, 1, parts, RIG_QUEUE_SIZE);
		guest_send_op(VIRTIO_VSOCK_OP_REQUEST, 1, PORT, 0);
		RIG_RUN_UNTIL(queues_used(VSOCK_RX) == 1);
		CHECK_EQ(queues_take(VSOCK_RX).len, VSOCK_HEADER_BYTES);
		RIG_RUN_UNTIL((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0);
		CHECK(send(fd, data, sizeof(data), 0) == sizeof(data));
		RIG_RUN_UNTIL(queues_used(VSOCK_RX) == 1);
		CHECK(queues_take(VSOCK_RX).len <= VSOCK_HEADER_BYTES + VSOCK_PACKET_BYTES);
		struct rig_part *tx = parts;
		header = guest_header(VIRTIO_VSOCK_OP_RW, 1, PORT, 1000);
		memcpy(rig_at(RX_BUFFER_GPA), &header, sizeof(header));
		for (unsigned i = 0; i < RIG_QUEUE_SIZE; i++)
			tx[i].writable = false;
		uint16_t head = guest_tx_head();
		tx_offered[head] = true;
		queues_offer(VSOCK_TX, head, tx, RIG_QUEUE_SIZE);
		queues_kick(VSOCK_TX);
		ssize_t r;
		RIG_RUN_UNTIL((r = recv(fd, got, sizeof(got), 0)) >= 0 || errno != EAGAIN);
		CHECK_EQ(r, 1000);
		for (unsigned i = 0; i < RIG_QUEUE_SIZE; i++)
			tx[i].writable = true;
		close(fd);
		guest_reset();
		guest_start();
	}
	CHECK(resident_kib() - before < 2048);
	close_all();
}

static long cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Class 19: chains that are no packets, by the thousand, are done with and leave nothing to do; a chain
 * that is a loop ends in the need of a reset, and kicks after that cost nothing. */
static void test_class_19_chain_livelock_malformed(void)
{
	struct rig_part part = { TX_BUFFER_GPA, 10, false };
	long start = cpu_ms();

	open_all();
	for (unsigned round = 0; round < 100; round++) {
		for (uint16_t head = 0; head < RIG_QUEUE_SIZE; head++)
			queues_offer(VSOCK_TX, head, &part, 1);
		queues_kick(VSOCK_TX);
		RIG_RUN_UNTIL(queues_used(VSOCK_TX) == RIG_QUEUE_SIZE);
		for (unsigned i = 0; i < RIG_QUEUE_SIZE; i++)
			queues_take(VSOCK_TX);
	}
	rig_idle();
	CHECK_EQ(rig_wake_ups(20), 0);
	for (unsigned queue = VSOCK_RX; queue <= VSOCK_TX; queue++) {
		struct vring_desc *desc = rig.queues[queue].desc;
		int fd = guest_open(1, PORT, listener);
		guest_take_tx();
		guest_reset();
		host_expect_end(fd);
		close(fd);
		guest_start();
		for (uint16_t i = 0; i < RIG_QUEUE_SIZE; i++)
			driver_set_desc(&desc[i], RX_BUFFER_GPA, 64,
					(uint16_t)(VRING_DESC_F_NEXT |
						   (queue == VSOCK_RX ? VRING_DESC_F_WRITE : 0)),
					(uint16_t)((i + 1) % RIG_QUEUE_SIZE));
		driver_offer(&rig.queues[queue], 0);
		queues_kick(queue);
		RIG_RUN_UNTIL(queues_broken());
		for (unsigned i = 0; i < 1000; i++) {
			queues_kick(queue);
			CHECK_EQ(ring_wait_for(&rig_ring, 0), 0);
		}
		rig_idle();
		CHECK_EQ(rig_wake_ups(20), 0);
		guest_reset();
		guest_start();
		guest_offer(RIG_QUEUE_SIZE, 4096);
	}
	CHECK(cpu_ms() - start < 3000);
	close_all();
}

/* Class 19: a driver that offers one head again and again, more often than the device keeps buffers. */
static void test_class_19_chain_livelock_head_offered_twice(void)
{
	struct rig_part part = { RX_BUFFER_GPA, 100, true };
	unsigned came = 0;

	open_all();
	int fd;
	guest_reset();
	guest_start();
	for (unsigned i = 0; i < RIG_QUEUE_SIZE; i++)
		queues_offer(VSOCK_RX, 0, &part, 1);
	guest_send_op(VIRTIO_VSOCK_OP_REQUEST, 1, PORT, 0);
	RIG_RUN_UNTIL((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0);
	for (unsigned i = 0; i < RIG_QUEUE_SIZE; i++)
		queues_offer(VSOCK_RX, 0, &part, 1); /* the device has taken the first 128 */
	CHECK(send(fd, data, 20000, 0) == 20000);
	RIG_RUN_UNTIL((came = queues_used(VSOCK_RX)) >= 2 * RIG_QUEUE_SIZE - 1);
	rig_idle();
	CHECK_EQ(rig_wake_ups(20), 0);
	CHECK(!queues_broken());
	guest_reset();
	close(fd);
	guest_start();
	close_all();
}

int main(void)
{
	struct rlimit limit = { 8192, 8192 };

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
		printf("needs 8192 open files: %s\n", strerror(errno));
		return 77;
	}
	RUN(test_all_connections);
	RUN(test_class_8_guest_sized_memory_connections);
	RUN(test_class_8_guest_sized_memory_descriptors);
	RUN(test_class_19_chain_livelock_malformed);
	RUN(test_class_19_chain_livelock_head_offered_twice);
	return 0;
}
