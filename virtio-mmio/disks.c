/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/disks.h"

#include "host/clock.h"
#include "host/message.h"

void disk_unlock(const struct disk *disk)
{
	block_image_unlock(&disk->image);
	if (disk->image.overlay != NULL)
		block_image_unlock(&disk->overlay.file);
}

void disk_close(struct disk *disk)
{
	block_image_close(&disk->image);
	if (disk->image.overlay != NULL)
		block_image_close(&disk->overlay.file);
}

/* Goes on as far as there is nothing to wait for. Returns whether the end is reached. */
static bool advance(struct disk *disk, bool hurry)
{
	if (disk->end == DISK_RUNS && !block_is_busy(&disk->block)) {
		disk->end = DISK_FLUSHES;
		if (!hurry || disk->image.overlay != NULL)
			block_start_final_flush(&disk->block);
	}
	if (disk->end == DISK_FLUSHES && !block_is_busy(&disk->block)) {
		disk->end = DISK_ENDED;
		disk_unlock(disk);
	}
	return disk->end == DISK_ENDED;
}

static bool advance_all(struct disk *disks, unsigned n, bool hurry)
{
	bool all = true;

	for (unsigned i = 0; i < n; i++)
		all &= advance(&disks[i], hurry);
	return all;
}

static bool finished_well(const struct disk *disk)
{
	if (disk->end != DISK_ENDED)
		warn("disk %s: the last requests did not finish in time", disk->image.path);
	return disk->end == DISK_ENDED && !disk->block.final_flush_failed;
}

bool disks_finish(struct disk *disks, unsigned n, struct ring *ring,
		  const struct disk_limits *limits, const bool *hurry)
{
	int64_t start = clock_now_ms();
	bool all_well = true;

	while (!advance_all(disks, n, *hurry)) {
		int64_t left =
			start + (*hurry ? limits->hurry_ms : limits->total_ms) - clock_now_ms();
		if (left <= 0 || ring_wait_for(ring, (unsigned)left) < 0)
			break;
	}
	for (unsigned i = 0; i < n; i++)
		all_well &= finished_well(&disks[i]);
	return all_well;
}
