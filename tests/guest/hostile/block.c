/* SPDX-License-Identifier: MIT */
/* Requests of the block device that break its rules. */
#include "hostile/hostile.h"

#define SECTORS     8192u /* 4 MiB */
#define CANARY      0x5au
#define HEADS       VIRTIO_QUEUE_SIZE
#define ALL_WORK    (FEATURE_INDIRECT | FEATURE_FLUSH)
#define PAGE_SECTOR 4096u /* where the page tables are kept meanwhile */
#define TABLE_BYTES (4096u * 6)

extern uint8_t pml4[];

static void expect(uint8_t wanted, uint8_t status)
{
	if (status == BLK_NO_ANSWER)
		fails("no answer");
	else if (status != wanted)
		fails("another status");
}

static void refused(uint32_t type, uint64_t sector, uint32_t length)
{
	expect(BLK_IOERR, blk_io(&disk, type, sector, spare, length));
}

static void sector_at_the_end(const struct target *target)
{
	(void)target;
	refused(BLK_IN, SECTORS, 512);
	refused(BLK_OUT, SECTORS, 512);
}

static void across_the_end(const struct target *target)
{
	(void)target;
	refused(BLK_IN, SECTORS - 1, 1024);
	refused(BLK_OUT, SECTORS - 1, 1024);
	refused(BLK_IN, 1, BLOCK_BYTES - 1);
}

static void sector_largest(const struct target *target)
{
	(void)target;
	refused(BLK_IN, UINT64_MAX, 512);
	refused(BLK_OUT, UINT64_MAX, 512);
}

static void sector_bytes_wrap(const struct target *target)
{
	(void)target;
	refused(BLK_IN, 1ull << 55, 512);
	refused(BLK_OUT, (1ull << 55) - 1, 1024);
	refused(BLK_OUT, UINT64_MAX / 512 + 1, 512);
}

static void sector_sign_bit(const struct target *target)
{
	(void)target;
	refused(BLK_IN, 1ull << 63, 512);
	refused(BLK_OUT, 1ull << 54, 512);
}

static void length_of_no_sector(const struct target *target)
{
	static const uint32_t lengths[] = { 1, 511, 513, 1023 };

	(void)target;
	for (unsigned i = 0; i < 4; i++) {
		refused(BLK_IN, 8, lengths[i]);
		refused(BLK_OUT, 8, lengths[i]);
	}
}

static void types_unknown(const struct target *target)
{
	static const uint32_t types[] = {
		2, 3, 5, 7, 9, 10, 12, 14, 0x80000000, 0xffff, UINT32_MAX
	};

	(void)target;
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		expect(BLK_UNSUPP, blk_io(&disk, types[i], 0, spare, 512));
}

static void get_id_of_any_length(const struct target *target)
{
	static const uint32_t lengths[] = { 1, 19, 20, 21, 512, BLOCK_BYTES };

	(void)target;
	for (unsigned i = 0; i < 6; i++)
		if (blk_io(&disk, BLK_GET_ID, 0, spare, lengths[i]) == BLK_NO_ANSWER)
			fails("no answer");
}

static void range(uint64_t sector, uint32_t sectors, uint32_t flags, uint32_t length)
{
	static const uint32_t types[] = { BLK_DISCARD, BLK_WRITE_ZEROES };

	for (unsigned i = 0; i < 2; i++) {
		*(struct blk_range *)(void *)spare = (struct blk_range){ sector, sectors, flags };
		uint8_t status = blk_io(&disk, types[i], 0, spare, length);
		if (status != BLK_IOERR && status != BLK_UNSUPP)
			fails("a range that cannot be is accepted");
	}
}

/* Anew with what the disk offers of it. */
static void start_with_ranges(const struct target *target)
{
	uint64_t offered = virtio_offered(target->device);

	if (!target->start(offered & (FEATURE_DISCARD | FEATURE_WRITE_ZEROES)))
		fails("no start");
}

static void ranges_across_the_end(const struct target *target)
{
	start_with_ranges(target);
	range(SECTORS - 1, 2, 0, 16);
	range(SECTORS, 1, 0, 16);
	range(0, UINT32_MAX, 0, 16);
}

static void ranges_that_wrap(const struct target *target)
{
	start_with_ranges(target);
	range(UINT64_MAX, 1, 0, 16);
	range(UINT64_MAX - 7, 8, 0, 16);
	range(1ull << 55, 8, 0, 16);
}

static void ranges_with_flags(const struct target *target)
{
	start_with_ranges(target);
	range(0, 8, 0x80000000, 16);
	range(0, 8, 0xfffffffe, 16);
}

static void ranges_of_odd_lengths(const struct target *target)
{
	start_with_ranges(target);
	range(0, 8, 0, 15);
	range(0, 8, 0, 17);
	range(0, 8, 0, 4080);
	range(0, 8, 0, 1);
}

static void request(void)
{
	(void)blk_prepare(&disk, 0, BLK_IN, 0, block_data[0], 512);
}

static void header_short(const struct target *target)
{
	(void)target;
	request();
	disk.queue.desc[0].length = 15;
	virtio_offer(&disk.queue, 0);
}

static void header_in_16_parts(const struct target *target)
{
	(void)target;
	request();
	for (uint16_t i = 0; i < 16; i++) {
		disk.queue.desc[i + 8].gpa = (uintptr_t)&disk.headers[0] + i;
		disk.queue.desc[i + 8].length = 1;
		disk.queue.desc[i + 8].flags = DESC_NEXT;
		disk.queue.desc[i + 8].next = (uint16_t)(i == 15 ? 1 : i + 9);
	}
	virtio_offer(&disk.queue, 8);
	virtio_write(&disk.device, REG_QUEUE_NOTIFY, 0);
	if (!virtio_wait(&disk.queue, 1) || disk.status[0] != BLK_OK)
		fails("a header in parts is no header");
}

static void no_status(const struct target *target)
{
	(void)target;
	request();
	disk.queue.desc[0].flags = 0;
	virtio_offer(&disk.queue, 0);
}

static void status_alone(const struct target *target)
{
	(void)target;
	request();
	virtio_offer(&disk.queue, 2);
}

/* Bytes go where they do not belong: the status into the header, the data over it. */
static void answers_over_the_header(const struct target *target)
{
	(void)target;
	for (unsigned i = 0; i < 16; i++) {
		request();
		disk.queue.desc[1].gpa = disk.queue.desc[0].gpa & ~511ull;
		disk.queue.desc[2].gpa = disk.queue.desc[0].gpa + i;
		virtio_offer(&disk.queue, 0);
		virtio_write(&disk.device, REG_QUEUE_NOTIFY, 0);
		(void)virtio_wait(&disk.queue, 1);
	}
}

static void wrong_direction(const struct target *target)
{
	(void)target;
	request();
	disk.queue.desc[1].flags = DESC_NEXT;
	virtio_offer(&disk.queue, 0);
	virtio_write(&disk.device, REG_QUEUE_NOTIFY, 0);
	(void)virtio_wait(&disk.queue, 1);
}

static void flush_with_data(const struct target *target)
{
	(void)target;
	(void)blk_io(&disk, BLK_FLUSH, UINT64_MAX, spare, BLOCK_BYTES);
}

/* 126 times the same 256 KiB: 31 MiB by one request. */
static void largest_request(const struct target *target)
{
	(void)target;
	request();
	for (uint16_t i = 1; i < HEADS - 1; i++) {
		disk.queue.desc[i].gpa = (uintptr_t)spare;
		disk.queue.desc[i].length = BLOCK_BYTES;
		disk.queue.desc[i].flags = DESC_NEXT | DESC_WRITE;
		disk.queue.desc[i].next = (uint16_t)(i + 1);
	}
	disk.queue.desc[HEADS - 1].gpa = (uintptr_t)&disk.status[0];
	disk.queue.desc[HEADS - 1].length = 1;
	disk.queue.desc[HEADS - 1].flags = DESC_WRITE;
	virtio_offer(&disk.queue, 0);
	virtio_write(&disk.device, REG_QUEUE_NOTIFY, 0);
	if (!virtio_wait(&disk.queue, 1))
		fails("no answer");
	expect(BLK_IOERR, disk.status[0]);
}

static void header_rewritten_behind_the_kick(const struct target *target)
{
	(void)target;
	for (unsigned round = 0; round < 20 * effort; round++) {
		(void)blk_prepare(&disk, 0, BLK_IN, 8, spare, 4096);
		virtio_offer(&disk.queue, 0);
		virtio_write(&disk.device, REG_QUEUE_NOTIFY, 0);
		for (unsigned i = 0; i < 200; i++) {
			disk.headers[0].type = random32() & 1 ? BLK_IN : random32();
			disk.headers[0].sector = random32() & 1 ? 8 : UINT64_MAX - random32();
		}
		if (!virtio_wait(&disk.queue, 1))
			fails("no answer");
	}
}

/* The device writes the page tables that the processor uses; what it writes is what was there. */
static void reads_over_the_page_tables(const struct target *target)
{
	(void)target;
	if (blk_io(&disk, BLK_OUT, PAGE_SECTOR, pml4, TABLE_BYTES) != BLK_OK)
		fails("no write");
	for (unsigned i = 0; i < 10 * effort; i++)
		if (blk_io(&disk, BLK_IN, PAGE_SECTOR, pml4, TABLE_BYTES) != BLK_OK)
			fails("no read");
}

/* The same head many times: requests that all write one status and one buffer. */
static void one_status_for_all(const struct target *target)
{
	(void)target;
	for (unsigned round = 0; round < 4; round++) {
		request();
		for (unsigned i = 0; i < HEADS; i++)
			virtio_offer(&disk.queue, 0);
		virtio_write(&disk.device, REG_QUEUE_NOTIFY, 0);
		if (!virtio_wait(&disk.queue, HEADS))
			fails("not all come back");
	}
}

static void offer(struct blk *blk, unsigned depth, uint32_t type)
{
	for (unsigned i = 0; i < depth; i++) {
		unsigned slot = i % BLK_SLOTS, head = i % HEADS;
		(void)blk_prepare(blk, slot, type, 8 * slot + 64, block_data[slot],
				  type == BLK_FLUSH ? 0 : SLOT_BYTES);
		blk->queue.desc[head].gpa = blk->queue.desc[slot].gpa;
		blk->queue.desc[head].length = blk->queue.desc[slot].length;
		blk->queue.desc[head].flags = blk->queue.desc[slot].flags;
		/* The device has the first queue's worth before the second comes. */
		if (i == HEADS)
			virtio_write(&blk->device, REG_QUEUE_NOTIFY, 0);
		virtio_offer(&blk->queue, (uint16_t)head);
	}
	virtio_write(&blk->device, REG_QUEUE_NOTIFY, 0);
}

/* When the status reads 0 again the memory is the guest's: nothing changes any more. */
static void reset_at(const struct target *target, unsigned depth)
{
	static const uint32_t types[] = { BLK_IN, BLK_OUT, BLK_FLUSH };
	struct blk *blk = target->device == &slow.device ? &slow : &disk;

	for (unsigned t = 0; t < 3; t++) {
		if (!target->start(ALL_WORK)) {
			fails("no start");
			return;
		}
		offer(blk, depth, types[t]);
		uint64_t start = read_tsc();
		virtio_write(&blk->device, REG_STATUS, 0);
		while (virtio_read(&blk->device, REG_STATUS) != 0)
			if (read_tsc() - start > 30 * VIRTIO_WAIT_TSC)
				fails("no reset");
		uint16_t used = blk->queue.used.index;
		for (unsigned i = 0; i < BLK_SLOTS; i++)
			blk->status[i] = block_data[i][0] = block_data[i][SLOT_BYTES - 1] = CANARY;
		for (unsigned i = 0; i < 1000; i++)
			cpu_pause();
		for (unsigned i = 0; i < BLK_SLOTS; i++)
			if (blk->status[i] != CANARY || block_data[i][0] != CANARY ||
			    block_data[i][SLOT_BYTES - 1] != CANARY ||
			    blk->queue.used.index != used)
				fails("an answer after the reset");
	}
}

#define RESET_AT(depth)                                                                            \
	static void reset_at_##depth(const struct target *target)                                  \
	{                                                                                          \
		reset_at(target, depth);                                                           \
	}
RESET_AT(1)
RESET_AT(2)
RESET_AT(4)
RESET_AT(8)
RESET_AT(16)
RESET_AT(32)
RESET_AT(64)
RESET_AT(128)
RESET_AT(256)

/* cases: block */
static const struct hostile_case cases[] = {
	{ "sector-at-the-end", 22, LIVES, 0, sector_at_the_end },
	{ "across-the-end", 22, LIVES, 0, across_the_end },
	{ "sector-largest", 22, LIVES, 0, sector_largest },
	{ "sector-bytes-wrap", 22, LIVES, 0, sector_bytes_wrap },
	{ "sector-sign-bit", 22, LIVES, 0, sector_sign_bit },
	{ "length-of-no-sector", 22, LIVES, 0, length_of_no_sector },
	{ "types-unknown", 1, LIVES, 0, types_unknown },
	{ "get-id-of-any-length", 20, LIVES, 0, get_id_of_any_length },
	{ "ranges-across-the-end", 22, LIVES, 0, ranges_across_the_end },
	{ "ranges-that-wrap", 22, LIVES, 0, ranges_that_wrap },
	{ "ranges-with-flags", 22, LIVES, 0, ranges_with_flags },
	{ "ranges-of-odd-lengths", 20, LIVES, 0, ranges_of_odd_lengths },
	{ "header-short", 20, BREAKS, 0, header_short },
	{ "header-in-16-parts", 5, LIVES, 0, header_in_16_parts },
	{ "no-status", 5, BREAKS, 0, no_status },
	{ "status-alone", 5, BREAKS, 0, status_alone },
	{ "answers-over-the-header", 13, ANY, 0, answers_over_the_header },
	{ "wrong-direction", 5, ANY, 0, wrong_direction },
	{ "flush-with-data", 5, ANY, 0, flush_with_data },
	{ "largest-request", 8, LIVES, 0, largest_request },
	{ "header-rewritten-behind-the-kick", 13, LIVES, 0, header_rewritten_behind_the_kick },
	{ "reads-over-the-page-tables", 25, LIVES, 0, reads_over_the_page_tables },
	{ "one-status-for-all", 15, LIVES, 0, one_status_for_all },
};
HOSTILE_TABLE(block_table, cases, "block");

/* cases: block slow-block */
static const struct hostile_case depth_cases[] = {
	{ "reset-at-depth-1", 17, ANY, 0, reset_at_1 },
	{ "reset-at-depth-2", 17, ANY, 0, reset_at_2 },
	{ "reset-at-depth-4", 17, ANY, 0, reset_at_4 },
	{ "reset-at-depth-8", 17, ANY, 0, reset_at_8 },
	{ "reset-at-depth-16", 17, ANY, 0, reset_at_16 },
	{ "reset-at-depth-32", 17, ANY, 0, reset_at_32 },
	{ "reset-at-depth-64", 17, ANY, 0, reset_at_64 },
	{ "reset-at-depth-128", 17, ANY, 0, reset_at_128 },
	{ "reset-at-depth-256", 17, ANY, 0, reset_at_256 },
};
HOSTILE_TABLE(depth_table, depth_cases, "block slow-block");
