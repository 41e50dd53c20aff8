/* SPDX-License-Identifier: MIT */
/* Resets of the vsock in the middle of everything (class 17). */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "tests/unit/check.h"
#include "tests/unit/vsock_streams_rig.h"

/* Class 17: a reset with 1 to 128 packets and as many reads on their way, at several places of their
 * way; nothing of the old driver's comes to the new one. */
static void test_class_17_reset_in_flight(void)
{
	static int fds[RIG_QUEUE_SIZE];

	open_all();
	for (unsigned depth = 1; depth <= RIG_QUEUE_SIZE; depth = depth * 3 / 2 + 1) {
		for (unsigned turns = 0; turns < 6; turns++) {
			unsigned half = depth / 2 + 1;
			vsock.sockets.no_nowait = turns % 2;
			for (unsigned i = 0; i < half; i++) {
				fds[i] = guest_open(i, PORT, listener);
				guest_offer(8, 4096);
			}
			for (unsigned i = 0; i < half; i++) {
				guest_sends(i, sizeof(data));
				if (depth > 1)
					guest_sends(i, sizeof(data));
				CHECK(send(fds[i], data, 60000, 0) == 60000);
			}
			for (unsigned t = 0; t < turns; t++)
				CHECK_EQ(ring_wait_for(&rig_ring, 0), 0);
			queues_reset();
			if (turns % 3 != 0)
				RIG_RUN_UNTIL(queues_status() == 0);
			guest_start(); /* or does not wait for the end of the reset */
			guest_offer(RIG_QUEUE_SIZE, 4096);
			for (unsigned i = 0; i < half; i++) {
				size_t have = host_reads_all(fds[i]);
				CHECK(have <= 2 * sizeof(data));
				close(fds[i]);
			}
			RIG_RUN_UNTIL(connections_used() == 0);
			CHECK_EQ(queues_used(VSOCK_RX), 0);
		}
	}
	close_all();
}

static atomic_bool resets_over;

/* A vCPU that resets the device and starts it again, whatever the ring is doing. */
static void *reset_again_and_again(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < 300; i++) {
		struct timespec pause = { .tv_nsec = 100000 + (i % 7) * 100000 };
		nanosleep(&pause, NULL);
		queues_reset();
		while (queues_status() != 0)
			sched_yield();
		guest_start();
		guest_offer(RIG_QUEUE_SIZE, 4096);
		for (uint32_t port = 0; port < 20; port++)
			guest_send_op(VIRTIO_VSOCK_OP_REQUEST, port, PORT, 0);
		nanosleep(&pause, NULL);
		for (uint32_t port = 0; port < 20; port++)
			guest_sends(port, 20000);
	}
	atomic_store(&resets_over, true);
	return NULL;
}

static void test_class_17_reset_in_flight_by_a_vcpu(void)
{
	pthread_t vcpu;
	int fds[64], n = 0;

	open_all();
	atomic_store(&resets_over, false);
	CHECK(pthread_create(&vcpu, NULL, reset_again_and_again, NULL) == 0);
	while (!atomic_load(&resets_over)) {
		int fd = n < 64 ? accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
		if (fd >= 0)
			fds[n++] = fd;
		for (int i = 0; i < n; i++) {
			send(fds[i], data, 5000, MSG_NOSIGNAL);
			ssize_t r = recv(fds[i], got, 15000, 0);
			if (r > 0 || (r < 0 && errno == EAGAIN))
				continue;
			close(fds[i]);
			fds[i--] = fds[--n];
		}
		CHECK_EQ(ring_wait_for(&rig_ring, 1), 0);
	}
	CHECK(pthread_join(vcpu, NULL) == 0);
	guest_reset();
	while (n > 0)
		close(fds[--n]);
	guest_start();
	close_all();
}

int main(void)
{
	RUN(test_class_17_reset_in_flight);
	RUN(test_class_17_reset_in_flight_by_a_vcpu);
	return 0;
}
