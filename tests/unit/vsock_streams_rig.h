/* SPDX-License-Identifier: MIT */
/* A vsock with a listening host program, for tests of whole streams. */
#ifndef TESTS_UNIT_VSOCK_STREAMS_RIG_H
#define TESTS_UNIT_VSOCK_STREAMS_RIG_H

#include "tests/unit/vsock_rig.h"

#define PORT 6000u

static int listener;
static uint8_t data[VSOCK_PACKET_BYTES], got[1 << 18];

static inline void open_all(void)
{
	vsock_rig_open();
	guest_start();
	listener = listen_at_port(PORT, 4096);
	guest_offer(RIG_QUEUE_SIZE, 4096);
	make_pattern(data, 1, 0, sizeof(data));
}

static inline void close_all(void)
{
	guest_offer(RIG_QUEUE_SIZE, 4096);
	check_all_returned();
	CHECK(!queues_broken());
	close(listener);
	vsock_rig_close();
}

static inline void guest_sends(uint32_t port, uint32_t n)
{
	struct virtio_vsock_hdr header = guest_header(VIRTIO_VSOCK_OP_RW, port, PORT, n);

	guest_send(&header, data);
}

/* Reads until the end, which must come; returns how many bytes, of data[] over and over. */
static inline size_t host_reads_all(int fd)
{
	size_t have = 0;
	ssize_t r;

	for (;;) {
		RIG_RUN_UNTIL((r = recv(fd, got, sizeof(data) - have % sizeof(data), 0)) >= 0 ||
			      errno != EAGAIN);
		if (r <= 0)
			return have;
		CHECK_BYTES(got, data + have % sizeof(data), (size_t)r);
		have += (size_t)r;
	}
}

/* Waits until all has arrived and nothing moves any more. */
static inline void check_still(void)
{
	for (unsigned tries = 0; rig_wake_ups(4) > 0; tries++)
		CHECK(tries < 50);
}

#endif
