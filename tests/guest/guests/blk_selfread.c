/* SPDX-License-Identifier: MIT */
/* A ring that refills itself: each read writes the next index over the ring and the next request over its header,
 * as the image has it (tests/guest/blk-selfread.sh makes it). The guest ends while that goes on. */
#include "rt/blk.h"
#include "rt/rt.h"

#define HEADER_OFFSET 272u /* behind the available ring, in the same sector */
#define ENTRIES       32u  /* the queue's size: each turn takes them all */
#define TURNS         10000u

static struct blk disk;
static uint8_t memory[BLK_SECTOR_BYTES] __attribute__((aligned(512)));

/* The available ring lies in `memory`, which is also what each read writes. */
static void place_ring(void)
{
	virtio_reset(&disk.device);
	virtio_negotiate(&disk.device, FEATURE_FLUSH);
	virtio_write(&disk.device, REG_QUEUE_SEL, 0);
	virtio_write(&disk.device, REG_QUEUE_NUM, ENTRIES);
	virtio_write(&disk.device, REG_QUEUE_DESC, (uint32_t)(uintptr_t)disk.queue.desc);
	virtio_write(&disk.device, REG_QUEUE_AVAIL, (uint32_t)(uintptr_t)memory);
	virtio_write(&disk.device, REG_QUEUE_USED, (uint32_t)(uintptr_t)&disk.queue.used);
	virtio_write(&disk.device, REG_QUEUE_READY, 1);
	virtio_driver_ok(&disk.device);
}

static void put_desc(unsigned i, void *data, uint32_t length, uint16_t flags)
{
	disk.queue.desc[i].gpa = (uintptr_t)data;
	disk.queue.desc[i].length = length;
	disk.queue.desc[i].flags = flags;
	disk.queue.desc[i].next = (uint16_t)(i + 1);
}

static bool turns(void)
{
	uint64_t start = read_tsc(), n = 0;
	uint16_t seen = 0;

	while (n < TURNS && read_tsc() - start < VIRTIO_WAIT_TSC) {
		uint16_t now = disk.queue.used.index;
		n += (uint16_t)(now - seen);
		seen = now;
	}
	return n >= TURNS;
}

void guest_main(const uint8_t *zero_page)
{
	(void)zero_page;
	print_check("start", blk_start(&disk, 0, FEATURE_FLUSH));
	/* Something to be flushed at the end. */
	print_check("write", blk_io(&disk, BLK_OUT, 2201, memory, sizeof(memory)) == BLK_OK);
	print_check("first", blk_io(&disk, BLK_IN, 2200, memory, sizeof(memory)) == BLK_OK);
	place_ring();
	put_desc(0, memory + HEADER_OFFSET, sizeof(struct blk_header), DESC_NEXT);
	put_desc(1, memory, sizeof(memory), DESC_NEXT | DESC_WRITE);
	put_desc(2, (void *)(uintptr_t)&disk.status[0], 1, DESC_WRITE);
	virtio_write(&disk.device, REG_QUEUE_NOTIFY, 0);
	print_check("turns", turns());
}
