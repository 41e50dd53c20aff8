/* SPDX-License-Identifier: MIT */
/* What a NIC's driver offers in a race. */
#ifndef TESTS_TSAN_RACE_FRAMES_H
#define TESTS_TSAN_RACE_FRAMES_H

#include "tests/tsan/race_rig.h"

#include "virtio-mmio/net_link.h"

/* A NIC's buffer, or a frame without offloads. */
static inline void race_offer_frame(unsigned queue, uint16_t head, uint64_t *random)
{
	uint64_t gpa = race_buffer_gpa(queue, head);

	race_put64(gpa, 0);
	race_put64(gpa + 8, check_random(random) << 32);
	race_put_desc(queue, head, gpa, 1000 + (uint32_t)(check_random(random) % 1000),
		      queue == NET_RX ? VRING_DESC_F_WRITE : 0);
}

#endif
