#include "virtio-mmio/disks.h"

#include "host/clock.h"
#include "host/fail.h"

static bool any_is_busy(const struct disk *disks, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (block_is_busy(&disks[i].block))
			return true;
	return false;
}

/* False: it took too long, or the ring failed. */
static bool wait_until_idle(struct disk *disks, unsigned n, struct ring *ring,
			    const struct disk_limits *limits, const bool *hurry)
{
	int64_t start = clock_now_ms();

	while (any_is_busy(disks, n)) {
		int64_t left =
			start + (*hurry ? limits->hurry_ms : limits->total_ms) - clock_now_ms();
		if (left <= 0 || ring_wait_for(ring, (unsigned)left) < 0)
			return false;
	}
	return true;
}

bool disks_finish(struct disk *disks, unsigned n, struct ring *ring,
		  const struct disk_limits *limits, const bool *hurry)
{
	bool done = wait_until_idle(disks, n, ring, limits, hurry);

	for (unsigned i = 0; done && !*hurry && i < n; i++)
		block_start_final_flush(&disks[i].block);
	if (!done || !wait_until_idle(disks, n, ring, limits, hurry)) {
		warn("the disks' last requests did not finish in time");
		return false;
	}
	for (unsigned i = 0; i < n; i++) {
		block_image_unlock(&disks[i].image);
		done &= !disks[i].block.final_flush_failed;
	}
	return done;
}
