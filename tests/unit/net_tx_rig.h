/* SPDX-License-Identifier: MIT */
/* Frames from the guest, for the tests of net: each has a random header and payload that its seed gives. */
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

/* Offers a frame of one part; its header, too, is random. */
static inline void offer_tx(uint16_t head, uint32_t bytes, unsigned seed)
{
	struct rig_part part = { TX_BUFFER_GPA + head * BUFFER_STEP, bytes, false };

	make_frame(tx_at(head), bytes, seed);
	for (unsigned i = 0; i < 10 && i < bytes; i++)
		tx_at(head)[i] = (uint8_t)(seed * 7 + i);
	queues_offer(NET_TX, head, &part, 1);
}

/* The next frame at the host is the one of offer_tx(). */
static inline void check_sent(uint32_t bytes, unsigned seed)
{
	CHECK_EQ(recv(host_fd, got, sizeof(got), 0), bytes);
	make_frame(frame, bytes, seed);
	for (unsigned i = 0; i < 10; i++)
		frame[i] = (uint8_t)(seed * 7 + i);
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
