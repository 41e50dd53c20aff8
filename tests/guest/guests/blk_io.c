/* SPDX-License-Identifier: MIT */
/* The block device's answers to a driver that keeps the rules. The script knows what must be in the
 * image afterwards:
 *   sectors 0-63     read only; sector n begins with n (64 bits)
 *   64-95            written at depth 32, sector n filled with n
 *   96-103           written, then write-zeroes        104-111  write-zeroes with unmap
 *   112-119          written, then discarded           120-127  written indirect and flushed */
#include "rt/blk.h"
#include "rt/rt.h"

#define DEPTH       32u
#define BIG_SECTORS 2048u /* 1 MiB in one request */
#define BIG_SECTOR  2048u
#define LAST_TYPE   20u

static struct blk disk;
static uint8_t data[DEPTH][BLK_SECTOR_BYTES * 8];
static uint8_t big[BIG_SECTORS * BLK_SECTOR_BYTES];

static bool is_filled(const uint8_t *at, uint8_t value, size_t length)
{
	while (length-- > 0)
		if (*at++ != value)
			return false;
	return true;
}

static bool read_and_compare(void)
{
	for (uint64_t sector = 0; sector < 64; sector++) {
		memset(data[0], 0xee, sizeof(data[0]));
		if (blk_io(&disk, BLK_IN, sector, data[0], BLK_SECTOR_BYTES) != BLK_OK ||
		    *(uint64_t *)(void *)data[0] != sector ||
		    disk.queue.used.ring[(disk.queue.seen_used - 1u) % VIRTIO_QUEUE_SIZE].length !=
			    BLK_SECTOR_BYTES + 1)
			return false;
	}
	/* Nothing was written behind the buffer. */
	return is_filled(data[0] + BLK_SECTOR_BYTES, 0xee, BLK_SECTOR_BYTES);
}

/* All at once, twice: answers may come in any order, each with its own data. */
static bool deep_queue(uint32_t type, unsigned rounds)
{
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < DEPTH; i++) {
			memset(data[i], type == BLK_OUT ? (int)(64 + i) : 0xee, BLK_SECTOR_BYTES);
			virtio_offer(&disk.queue, blk_prepare(&disk, i, type, 64 + i, data[i],
							      BLK_SECTOR_BYTES));
		}
		virtio_kick(&disk.device, &disk.queue);
		if (!virtio_wait(&disk.queue, DEPTH))
			return false;
		for (unsigned i = 0; i < DEPTH; i++)
			if (disk.status[i] != BLK_OK ||
			    !is_filled(data[i], (uint8_t)(64 + i), BLK_SECTOR_BYTES))
				return false;
	}
	return true;
}

static bool zeroes_and_discard(void)
{
	struct blk_range range = { .sector = 96, .sectors = 8 };

	memset(data[0], 0xaa, sizeof(data[0]));
	for (uint64_t sector = 96; sector < 120; sector += 8)
		if (blk_io(&disk, BLK_OUT, sector, data[0], 8 * BLK_SECTOR_BYTES) != BLK_OK)
			return false;
	if (blk_io(&disk, BLK_WRITE_ZEROES, 0, &range, sizeof(range)) != BLK_OK)
		return false;
	range = (struct blk_range){ .sector = 104, .sectors = 8, .flags = 1 };
	if (blk_io(&disk, BLK_WRITE_ZEROES, 0, &range, sizeof(range)) != BLK_OK)
		return false;
	range = (struct blk_range){ .sector = 112, .sectors = 8 };
	if (blk_io(&disk, BLK_DISCARD, 0, &range, sizeof(range)) != BLK_OK)
		return false;
	return blk_io(&disk, BLK_IN, 96, data[0], 8 * BLK_SECTOR_BYTES) == BLK_OK &&
	       is_filled(data[0], 0, 8 * BLK_SECTOR_BYTES);
}

static void print_id(void)
{
	memset(data[0], 0xee, 32);
	print_check("get-id", blk_io(&disk, BLK_GET_ID, 0, data[0], 20) == BLK_OK);
	print_check("get-id ends in time", data[0][20] == 0xee);
	data[0][20] = '\0';
	print("id ");
	print((const char *)data[0]);
	print("\n");
}

static bool big_transfer(void)
{
	for (unsigned i = 0; i < BIG_SECTORS; i++)
		memset(big + i * BLK_SECTOR_BYTES, (int)(i % 251), BLK_SECTOR_BYTES);
	if (blk_io(&disk, BLK_OUT, BIG_SECTOR, big, sizeof(big)) != BLK_OK)
		return false;
	memset(big, 0xee, sizeof(big));
	if (blk_io(&disk, BLK_IN, BIG_SECTOR, big, sizeof(big)) != BLK_OK)
		return false;
	for (unsigned i = 0; i < BIG_SECTORS; i++)
		if (!is_filled(big + i * BLK_SECTOR_BYTES, (uint8_t)(i % 251), BLK_SECTOR_BYTES))
			return false;
	return true;
}

/* Sector arithmetic at its edges: an error for the guest, nothing else. */
static bool beyond_the_end(void)
{
	uint64_t capacity = blk_capacity(&disk);
	const uint64_t sectors[] = { capacity,         capacity + 1,   UINT64_MAX,
				     UINT64_MAX / 512, UINT64_MAX - 7, 1ull << 55,
				     (1ull << 55) - 1, 1ull << 63 };
	struct blk_range range;

	for (size_t i = 0; i < sizeof(sectors) / sizeof(sectors[0]); i++) {
		range = (struct blk_range){ .sector = sectors[i], .sectors = 8 };
		if (blk_io(&disk, BLK_IN, sectors[i], data[0], 4096) != BLK_IOERR ||
		    blk_io(&disk, BLK_OUT, sectors[i], data[0], 4096) != BLK_IOERR ||
		    blk_io(&disk, BLK_WRITE_ZEROES, 0, &range, sizeof(range)) != BLK_IOERR ||
		    blk_io(&disk, BLK_DISCARD, 0, &range, sizeof(range)) != BLK_IOERR)
			return false;
	}
	range = (struct blk_range){ .sector = 0, .sectors = UINT32_MAX };
	return blk_io(&disk, BLK_IN, capacity - 1, data[0], 1024) == BLK_IOERR &&
	       blk_io(&disk, BLK_IN, 0, data[0], 511) == BLK_IOERR &&
	       blk_io(&disk, BLK_WRITE_ZEROES, 0, &range, sizeof(range)) == BLK_IOERR &&
	       blk_io(&disk, BLK_DISCARD, 0, &range, sizeof(range) - 1) == BLK_IOERR;
}

static bool unknown_types(void)
{
	for (uint32_t type = 2; type < LAST_TYPE; type++) {
		if (type == BLK_FLUSH || type == BLK_GET_ID || type == BLK_DISCARD ||
		    type == BLK_WRITE_ZEROES)
			continue;
		if (blk_io(&disk, type, 0, data[0], BLK_SECTOR_BYTES) != BLK_UNSUPP)
			return false;
	}
	return blk_io(&disk, UINT32_MAX, 0, data[0], BLK_SECTOR_BYTES) == BLK_UNSUPP;
}

static void read_only_disk(void)
{
	struct blk_range range = { .sector = 0, .sectors = 8 };

	print_check("ro start", blk_start(&disk, 1, FEATURE_RO));
	print_check("ro offers no discard",
		    !(virtio_offered(&disk.device) & (FEATURE_DISCARD | FEATURE_WRITE_ZEROES)));
	print_number("ro capacity", blk_capacity(&disk));
	print_check("ro read", blk_io(&disk, BLK_IN, 1, data[0], 512) == BLK_OK);
	print_bytes(data[0], 16);
	print_check("ro write", blk_io(&disk, BLK_OUT, 1, data[0], 512) == BLK_IOERR);
	print_check("ro flush", blk_io(&disk, BLK_FLUSH, 0, NULL, 0) == BLK_OK);
	print_check("ro write-zeroes",
		    blk_io(&disk, BLK_WRITE_ZEROES, 0, &range, sizeof(range)) == BLK_UNSUPP);
	print_check("ro discard",
		    blk_io(&disk, BLK_DISCARD, 0, &range, sizeof(range)) == BLK_UNSUPP);
}

void guest_main(const uint8_t *zero_page)
{
	(void)zero_page;
	print_check("start",
		    blk_start(&disk, 0, FEATURE_FLUSH | FEATURE_DISCARD | FEATURE_WRITE_ZEROES));
	print_number("capacity", blk_capacity(&disk));
	print_check("read", read_and_compare());
	print_check("write deep", deep_queue(BLK_OUT, 2));
	print_check("read deep", deep_queue(BLK_IN, 2));
	print_check("zeroes and discard", zeroes_and_discard());
	print_check("big", big_transfer());
	print_check("beyond the end", beyond_the_end());
	print_check("unknown types", unknown_types());
	print_id();
	print_check("indirect start", blk_start(&disk, 0, FEATURE_INDIRECT | FEATURE_FLUSH));
	print_check("indirect read", read_and_compare() && deep_queue(BLK_IN, 2));
	memset(data[0], 'i', sizeof(data[0]));
	print_check("indirect write",
		    blk_io(&disk, BLK_OUT, 120, data[0], 8 * BLK_SECTOR_BYTES) == BLK_OK);
	print_check("flush", blk_io(&disk, BLK_FLUSH, 0, NULL, 0) == BLK_OK);
	print_check("event-idx start",
		    blk_start(&disk, 0, FEATURE_EVENT_IDX | FEATURE_INDIRECT | FEATURE_FLUSH));
	print_check("event-idx read", read_and_compare() && deep_queue(BLK_IN, 8));
	read_only_disk();
}
