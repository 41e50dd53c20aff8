/* SPDX-License-Identifier: MIT */
#include "rt/blk.h"

#include "rt/rt.h"

#define DEVICE_ID_BLOCK 2u
#define CONFIG_CAPACITY (REG_CONFIG + 0)

uint64_t blk_capacity(const struct blk *blk)
{
	return virtio_read(&blk->device, CONFIG_CAPACITY) |
	       (uint64_t)virtio_read(&blk->device, CONFIG_CAPACITY + 4) << 32;
}

bool blk_start(struct blk *blk, unsigned index, uint64_t features)
{
	return virtio_start(&blk->device, index, DEVICE_ID_BLOCK, features, &blk->queue, 1);
}

uint16_t blk_prepare(struct blk *blk, unsigned slot, uint32_t type, uint64_t sector, void *data,
		     uint32_t length)
{
	bool indirect = blk->device.features & FEATURE_INDIRECT;
	uint16_t head = (uint16_t)(indirect ? slot : slot * 3);
	volatile struct virtio_desc *table =
		indirect ? blk->indirect[slot] : &blk->queue.desc[head];
	uint16_t base = indirect ? 0 : head, n = 0;
	bool to_guest = type == BLK_IN || type == BLK_GET_ID;

	blk->headers[slot] = (struct blk_header){ .type = type, .sector = sector };
	blk->status[slot] = BLK_NO_ANSWER;
	table[n].gpa = (uintptr_t)&blk->headers[slot];
	table[n].length = sizeof(blk->headers[slot]);
	table[n].flags = DESC_NEXT;
	table[n].next = (uint16_t)(base + n + 1);
	n++;
	if (length > 0) {
		table[n].gpa = (uintptr_t)data;
		table[n].length = length;
		table[n].flags = (uint16_t)(DESC_NEXT | (to_guest ? DESC_WRITE : 0));
		table[n].next = (uint16_t)(base + n + 1);
		n++;
	}
	table[n].gpa = (uintptr_t)&blk->status[slot];
	table[n].length = 1;
	table[n].flags = DESC_WRITE;
	if (indirect) {
		blk->queue.desc[head].gpa = (uintptr_t)table;
		blk->queue.desc[head].length = (uint32_t)((n + 1u) * sizeof(struct virtio_desc));
		blk->queue.desc[head].flags = DESC_INDIRECT;
	}
	return head;
}

uint8_t blk_io(struct blk *blk, uint32_t type, uint64_t sector, void *data, uint32_t length)
{
	virtio_offer(&blk->queue, blk_prepare(blk, 0, type, sector, data, length));
	virtio_kick(&blk->device, &blk->queue);
	return virtio_wait(&blk->queue, 1) ? blk->status[0] : BLK_NO_ANSWER;
}
