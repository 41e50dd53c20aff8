/* SPDX-License-Identifier: MIT */
/* A NIC with a stream between two vCPUs, a scribbler, the event loop and its peer. */
#include "tests/tsan/race_rig.h"

#include "tests/unit/net_stream_rig.h"

static void offer(unsigned queue, uint16_t head, uint64_t *random)
{
	uint64_t gpa = race_buffer_gpa(queue, head);

	race_put64(gpa, 0);
	race_put64(gpa + 8, check_random(random) << 32);
	race_put_desc(queue, head, gpa, 1000 + (uint32_t)(check_random(random) % 1000),
		      queue == NET_RX ? VRING_DESC_F_WRITE : 0);
}

/* Whole frames, or the stream would not last; and a reader that lags behind. */
static void *run_peer(void *seed)
{
	static uint8_t sent[4 + 3000], taken[65536];
	uint64_t random = (uintptr_t)seed;

	while (!atomic_load(&race.over)) {
		uint32_t bytes = 14 + (uint32_t)(check_random(&random) % 2900);
		uint32_t length = htobe32(bytes);
		memcpy(sent, &length, 4);
		for (uint32_t at = 0; at < 4 + bytes && !atomic_load(&race.over);) {
			ssize_t n = send(peer, sent + at, 4 + bytes - at, MSG_NOSIGNAL);
			at += n > 0 ? (uint32_t)n : 0;
			if (recv(peer, taken, 1 + check_random(&random) % 9000, 0) < 0)
				sched_yield();
		}
	}
	return NULL;
}

int main(void)
{
	stream_open();
	race_run(offer, nic.device.offered_features | RING_FEATURES, run_peer);
	CHECK(link_is_up());
	stream_close();
	return 0;
}
