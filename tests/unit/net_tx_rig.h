/* SPDX-License-Identifier: MIT */
/* Frames from the guest, for the tests of net: each has a header and a payload that its seed gives. */
#ifndef TESTS_UNIT_NET_TX_RIG_H
#define TESTS_UNIT_NET_TX_RIG_H

#include "tests/unit/net_rig.h"

#define MRG     FEATURE(VIRTIO_NET_F_MRG_RXBUF)
#define IDLE_MS 150

static uint8_t frame[NET_MAX_FRAME_BYTES + 64], got[NET_MAX_FRAME_BYTES + 64];

static inline uint8_t *tx_at(uint16_t head)
{
	return rig_at(TX_BUFFER_GPA + head * BUFFER_STEP);
}

/* A header that asks for nothing; its fields of offloads are not zero all the same. */
static inline void make_header(uint8_t *at, uint32_t bytes, unsigned seed)
{
	for (unsigned i = 4; i < 10 && i < bytes; i++)
		at[i] = (uint8_t)(seed * 7 + i);
}

/* Offers a frame of one part. */
static inline void offer_tx(uint16_t head, uint32_t bytes, unsigned seed)
{
	struct rig_part part = { TX_BUFFER_GPA + head * BUFFER_STEP, bytes, false };

	make_frame(tx_at(head), bytes, seed);
	make_header(tx_at(head), bytes, seed);
	queues_offer(NET_TX, head, &part, 1);
}

/* The next frame at the host is the one of offer_tx(). */
static inline void check_sent(uint32_t bytes, unsigned seed)
{
	CHECK_EQ(recv(host_fd, got, sizeof(got), 0), bytes);
	make_frame(frame, bytes, seed);
	make_header(frame, bytes, seed);
	CHECK_BYTES(got, frame, bytes);
}

static inline void check_nothing_sent(void)
{
	CHECK(recv(host_fd, got, sizeof(got), 0) < 0 && errno == EAGAIN);
}

static inline void take_all_tx(unsigned n)
{
	bool seen[RIG_QUEUE_SIZE] = { false };

	RIG_RUN_UNTIL(queues_used(NET_TX) == n);
	while (n-- > 0) {
		struct vring_used_elem used = queues_take(NET_TX);
		CHECK(used.id < RIG_QUEUE_SIZE && !seen[used.id]);
		seen[used.id] = true;
		CHECK_EQ(used.len, 0);
	}
}

#endif
