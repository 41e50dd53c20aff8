#include "rt/blk.h"

#include "rt/rt.h"

#define MAGIC           0x74726976u
#define DEVICE_ID_BLOCK 2u
#define NO_NOTIFY       1u
#define NO_INTERRUPT    1u
#define TIME_LIMIT_TSC  10000000000u /* 2 s or more */
#define CONFIG_CAPACITY (REG_CONFIG + 0)

static uint16_t kicked_index; /* the available index at the last kick: one queue at a time */

static void full_barrier(void)
{
	__asm__ volatile("lock orl $0, (%%rsp)" ::: "memory", "cc");
}

uint32_t blk_read(const struct blk *blk, uint32_t reg)
{
	return mmio_read32(blk->base + reg);
}

void blk_write(const struct blk *blk, uint32_t reg, uint32_t value)
{
	mmio_write32(blk->base + reg, value);
}

uint64_t blk_offered(const struct blk *blk)
{
	uint64_t features;

	blk_write(blk, REG_DEVICE_FEATURES_SEL, 0);
	features = blk_read(blk, REG_DEVICE_FEATURES);
	blk_write(blk, REG_DEVICE_FEATURES_SEL, 1);
	return features | (uint64_t)blk_read(blk, REG_DEVICE_FEATURES) << 32;
}

uint64_t blk_capacity(const struct blk *blk)
{
	return blk_read(blk, CONFIG_CAPACITY) | (uint64_t)blk_read(blk, CONFIG_CAPACITY + 4) << 32;
}

bool blk_reset(struct blk *blk)
{
	uint64_t start = read_tsc();

	blk_write(blk, REG_STATUS, 0);
	while (blk_read(blk, REG_STATUS) != 0)
		if (read_tsc() - start > TIME_LIMIT_TSC)
			return false;
	return true;
}

bool blk_negotiate(struct blk *blk, uint64_t features)
{
	uint32_t status = STATUS_ACKNOWLEDGE;

	blk->features = features | FEATURE_VERSION_1;
	blk_write(blk, REG_STATUS, status);
	blk_write(blk, REG_STATUS, status |= STATUS_DRIVER);
	blk_write(blk, REG_DRIVER_FEATURES_SEL, 0);
	blk_write(blk, REG_DRIVER_FEATURES, (uint32_t)blk->features);
	blk_write(blk, REG_DRIVER_FEATURES_SEL, 1);
	blk_write(blk, REG_DRIVER_FEATURES, (uint32_t)(blk->features >> 32));
	blk_write(blk, REG_STATUS, status |= STATUS_FEATURES_OK);
	return blk_read(blk, REG_STATUS) == status;
}

static void write_address(const struct blk *blk, uint32_t reg, const volatile void *address)
{
	blk_write(blk, reg, (uint32_t)(uintptr_t)address);
	blk_write(blk, reg + 4, (uint32_t)((uintptr_t)address >> 32));
}

void blk_start_queue(struct blk *blk)
{
	blk->seen_used = kicked_index = 0;
	blk->avail.index = blk->used.index = 0;
	blk->avail.flags = NO_INTERRUPT;
	blk->used.flags = 0;
	blk->avail.used_event = blk->used.avail_event = 0;
	blk_write(blk, REG_QUEUE_SEL, 0);
	blk_write(blk, REG_QUEUE_NUM, BLK_QUEUE_SIZE);
	write_address(blk, REG_QUEUE_DESC, blk->desc);
	write_address(blk, REG_QUEUE_AVAIL, &blk->avail);
	write_address(blk, REG_QUEUE_USED, &blk->used);
	blk_write(blk, REG_QUEUE_READY, 1);
	blk_write(blk, REG_STATUS,
		  STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
}

bool blk_start(struct blk *blk, unsigned index, uint64_t features)
{
	blk->base = BLK_WINDOW(index);
	if (blk_read(blk, REG_MAGIC) != MAGIC || blk_read(blk, REG_VERSION) != 2 ||
	    blk_read(blk, REG_DEVICE_ID) != DEVICE_ID_BLOCK || !blk_reset(blk))
		return false;
	if ((blk_offered(blk) & features) != features || !blk_negotiate(blk, features))
		return false;
	blk_write(blk, REG_QUEUE_SEL, 0);
	if (blk_read(blk, REG_QUEUE_NUM_MAX) < BLK_QUEUE_SIZE || blk_read(blk, REG_QUEUE_READY))
		return false;
	blk_start_queue(blk);
	return blk_read(blk, REG_QUEUE_READY) == 1 &&
	       (blk_read(blk, REG_STATUS) & (STATUS_DRIVER_OK | STATUS_NEEDS_RESET)) ==
		       STATUS_DRIVER_OK;
}

uint16_t blk_prepare(struct blk *blk, unsigned slot, uint32_t type, uint64_t sector, void *data,
		     uint32_t length)
{
	bool indirect = blk->features & FEATURE_INDIRECT;
	uint16_t head = (uint16_t)(indirect ? slot : slot * 3);
	volatile struct blk_desc *table = indirect ? blk->indirect[slot] : &blk->desc[head];
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
		blk->desc[head].gpa = (uintptr_t)table;
		blk->desc[head].length = (uint32_t)((n + 1u) * sizeof(struct blk_desc));
		blk->desc[head].flags = DESC_INDIRECT;
	}
	return head;
}

void blk_offer(struct blk *blk, uint16_t head)
{
	uint16_t index = blk->avail.index;

	blk->avail.ring[index % BLK_QUEUE_SIZE] = head;
	compiler_barrier();
	blk->avail.index = (uint16_t)(index + 1);
}

void blk_kick(struct blk *blk)
{
	uint16_t before = kicked_index, now = blk->avail.index;

	kicked_index = now;
	full_barrier();
	if (blk->features & FEATURE_EVENT_IDX) {
		uint16_t event = blk->used.avail_event;
		if ((uint16_t)(now - event - 1) >= (uint16_t)(now - before))
			return;
	} else if (blk->used.flags & NO_NOTIFY) {
		return;
	}
	blk_write(blk, REG_QUEUE_NOTIFY, 0);
}

bool blk_wait(struct blk *blk, unsigned count)
{
	uint16_t wanted = (uint16_t)(blk->seen_used + count);
	uint64_t start = read_tsc();

	while ((int16_t)(blk->used.index - wanted) < 0) {
		if (read_tsc() - start > TIME_LIMIT_TSC)
			return false;
		cpu_pause();
	}
	blk->seen_used = wanted;
	return true;
}

uint8_t blk_io(struct blk *blk, uint32_t type, uint64_t sector, void *data, uint32_t length)
{
	blk_offer(blk, blk_prepare(blk, 0, type, sector, data, length));
	blk_kick(blk);
	return blk_wait(blk, 1) ? blk->status[0] : BLK_NO_ANSWER;
}

bool blk_wait_needs_reset(const struct blk *blk)
{
	uint64_t start = read_tsc();

	while (!(blk_read(blk, REG_STATUS) & STATUS_NEEDS_RESET))
		if (read_tsc() - start > TIME_LIMIT_TSC)
			return false;
	return true;
}
