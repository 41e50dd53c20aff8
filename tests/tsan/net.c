/* SPDX-License-Identifier: MIT */
/* A NIC between two vCPUs, a scribbler, the event loop and the host's network. */
#include "tests/tsan/race_frames.h"

#include "tests/unit/net_rig.h"

/* Frames with all headers, and a reader that lags behind. */
static void *run_host(void *seed)
{
	static uint8_t sent[3000], got[NET_MAX_FRAME_BYTES];
	uint64_t random = (uintptr_t)seed;

	while (!atomic_load(&race.over)) {
		uint64_t number = check_random(&random);
		sent[0] = number & 1;
		sent[1] = (number >> 1) % 6;
		send(host_fd, sent, 14 + (number >> 8) % 2900, MSG_NOSIGNAL);
		for (unsigned i = 0; i < 4 && recv(host_fd, got, sizeof(got), 0) > 0; i++)
			;
	}
	return NULL;
}

int main(void)
{
	nic_open(ALL_OFFLOADS, 0);
	race_run(race_offer_frame, nic.device.offered_features | RING_FEATURES, run_host);
	nic_close();
	return 0;
}
