/* SPDX-License-Identifier: MIT */
/* The disks of a VM, and how they end together. */
#ifndef VIRTIO_MMIO_DISKS_H
#define VIRTIO_MMIO_DISKS_H

#include <stdbool.h>

#include "host/ring.h"
#include "virtio-mmio/block.h"
#include "virtio-mmio/block_image.h"
#include "virtio-mmio/block_overlay.h"
#include "virtio-mmio/transport.h"

enum disk_end {
	DISK_RUNS, /* or finishes its requests */
	DISK_FLUSHES,
	DISK_ENDED,
};

struct disk {
	struct block_image image;
	struct block_overlay overlay; /* if image.overlay */
	struct virtio_transport transport;
	enum disk_end end;
	struct block block; /* last, its pool is: what every start writes to lies in few pages */
};

/* How long the end may take, in milliseconds; at most hurry_ms once *hurry is set (a signal wants an end within a
 * second). */
struct disk_limits {
	unsigned total_ms, hurry_ms;
};

/* Lets the next monitor have the files: earlier than closing them would, because the ring holds them, too. Only when no
 * operation on them is in flight. */
void disk_unlock(const struct disk *disk);
void disk_close(struct disk *disk);

/* After the queues are closed: finishes the requests in flight, flushes what the guest believes written, and unlocks the
 * image, each disk for itself. With *hurry only kept overlays are flushed: of all else the host's page
 * cache has what the guest wrote. Returns whether all of
 * that succeeded; says on stderr what did not. */
bool disks_finish(struct disk *disks, unsigned n, struct ring *ring,
		  const struct disk_limits *limits, const bool *hurry);

#endif
