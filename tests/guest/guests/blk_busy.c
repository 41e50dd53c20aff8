/* SPDX-License-Identifier: MIT */
/* Reads and resets for ever: 1 MiB, 32 times a sector, a broken chain, a reset. */
#include "rt/blk.h"
#include "rt/rt.h"

#define DEPTH       32u
#define BIG_BYTES   (1u << 20)
#define WARM_ROUNDS 20u

static struct blk disk;
static uint8_t data[BIG_BYTES];

static bool round(void)
{
	if (!blk_start(&disk, 0, 0) || blk_io(&disk, BLK_IN, 0, data, BIG_BYTES) != BLK_OK)
		return false;
	for (unsigned i = 0; i < DEPTH; i++)
		virtio_offer(&disk.queue, blk_prepare(&disk, i, BLK_IN, i, data + 512 * i, 512));
	virtio_kick(&disk.device, &disk.queue);
	if (!virtio_wait(&disk.queue, DEPTH))
		return false;
	virtio_offer(&disk.queue, VIRTIO_QUEUE_SIZE);
	virtio_write(&disk.device, REG_QUEUE_NOTIFY, 0);
	return virtio_wait_needs_reset(&disk.device);
}

void guest_main(const uint8_t *zero_page)
{
	(void)zero_page;
	for (uint64_t n = 0;; n++) {
		if (!round()) {
			print("FAILED\n");
			return;
		}
		if (n == WARM_ROUNDS)
			print("warm\n");
	}
}
