/* SPDX-License-Identifier: MIT */
/* A NIC with a stream between two vCPUs, a scribbler, the event loop and its peer. */
#include "tests/tsan/race_frames.h"

#include "tests/unit/net_stream_rig.h"

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
	race_run(race_offer_frame, nic.device.offered_features | RING_FEATURES, run_peer);
	CHECK(link_is_up());
	stream_close();
	return 0;
}
