/* SPDX-License-Identifier: MIT */
/* Sector arithmetic at its limits (bug class 22), discards, write-zeroes, sizes that fit no grid. */
#include "tests/unit/check.h"
#include "tests/unit/disk_rig.h"

#define DATA_GPA     (uint64_t)(1u << 20)
#define SECTORS      2048u          /* of the disk */
#define FILE_SECTORS (SECTORS + 64) /* what lies behind the disk must stay as it is */

static uint8_t buffer[FILE_SECTORS * SECTOR_BYTES];

/* A file of ones, of which the disk is the first part. */
static int open_disk(int fd)
{
	memset(buffer, 1, sizeof(buffer));
	CHECK(fd >= 0 && pwrite(fd, buffer, sizeof(buffer), 0) == sizeof(buffer));
	rig_open_fd(fd, SECTORS, false);
	return fd;
}

static int disk_file(void)
{
	char path[] = "/tmp/vmm-test-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	CHECK(fd >= 0 && unlink(path) == 0);
	return fd;
}

/* Sectors [start, end) of the file are `value`, all others are ones. */
static void check_only(int fd, uint64_t start, uint64_t end, uint8_t value)
{
	CHECK(pread(fd, buffer, sizeof(buffer), 0) == sizeof(buffer));
	CHECK_FILLED(buffer, 1, start * 512);
	CHECK_FILLED(buffer + start * 512, value, (end - start) * 512);
	CHECK_FILLED(buffer + end * 512, 1, sizeof(buffer) - end * 512);
	CHECK(lseek(fd, 0, SEEK_END) == sizeof(buffer));
}

static const struct {
	uint64_t sector;
	uint32_t sectors;
	bool fits;
} limits[] = {
	{ 0, 1, true },
	{ SECTORS - 1, 1, true },
	{ SECTORS - 2, 2, true },
	{ SECTORS - 1, 2, false },
	{ SECTORS, 1, false },
	{ SECTORS + 1, 1, false },
	{ SECTORS - 8, 9, false },
	{ UINT64_MAX, 1, false },
	{ UINT64_MAX, 2, false },
	{ UINT64_MAX - 1, 2, false },
	{ UINT64_MAX - 7, 16, false },
	{ 0x7fffffffffffffff, 1, false },
	{ 0x8000000000000000, 1, false },
	{ 0x0080000000000000, 1, false }, /* times 512 is 0 */
	{ 0x007fffffffffffff, 2, false },
	{ 0x0040000000000000, 1, false }, /* times 512 is negative */
	{ 0x0080000000000000 + 4, 1, false },
	{ 0xff80000000000000, 8, false },
	{ 0x100000000, 1, false },
	{ 0x100000000 - 1, 1, false },
};

static void test_class_22_sector_overflow_transfers(void)
{
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		int fd = open_disk(check_memory_file("", 0));
		uint32_t bytes = limits[i].sectors * 512;
		uint8_t expected = limits[i].fits ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
		memset(rig_at(DATA_GPA), 9, bytes);
		CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, limits[i].sector, DATA_GPA, bytes), expected);
		CHECK_EQ(rig.used_bytes, 1);
		if (limits[i].fits)
			check_only(fd, limits[i].sector, limits[i].sector + limits[i].sectors, 9);
		else
			check_only(fd, 0, 0, 0);
		memset(rig_at(DATA_GPA), 7, bytes);
		CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, limits[i].sector, DATA_GPA, bytes), expected);
		CHECK_EQ(rig.used_bytes, limits[i].fits ? bytes + 1 : 1);
		CHECK_FILLED(rig_at(DATA_GPA), limits[i].fits ? 9 : 7, bytes);
		rig_close();
	}
}

static void test_class_22_sector_overflow_ranges(void)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES };

	for (size_t t = 0; t < 2; t++)
		for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
			int fd = open_disk(check_memory_file("", 0));
			uint8_t expected = limits[i].fits ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
			CHECK_EQ(rig_do_range(types[t], limits[i].sector, limits[i].sectors, 0),
				 expected);
			if (limits[i].fits)
				check_only(fd, limits[i].sector,
					   limits[i].sector + limits[i].sectors, 0);
			else
				check_only(fd, 0, 0, 0);
			rig_close();
		}
}

static void test_lengths_that_are_no_sectors(void)
{
	static const uint32_t lengths[] = { 1, 511, 513, 1023, 4097 };
	int fd = open_disk(check_memory_file("", 0));

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, 0, DATA_GPA, lengths[i]), VIRTIO_BLK_S_IOERR);
		CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 0, DATA_GPA, lengths[i]), VIRTIO_BLK_S_IOERR);
	}
	CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, 0, 0, 0), VIRTIO_BLK_S_OK);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, SECTORS, 0, 0), VIRTIO_BLK_S_OK);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, SECTORS + 1, 0, 0), VIRTIO_BLK_S_IOERR);
	check_only(fd, 0, 0, 0);
	rig_close();
}

/* On a file system with every kind of fallocate, on one that lacks some, and with plain writes. */
static void test_zeroes_by_every_method(void)
{
	for (int method = ZERO_BY_RANGE; method <= ZERO_BY_WRITE; method++)
		for (int in_memory = 0; in_memory < 2; in_memory++)
			for (uint32_t unmap = 0; unmap < 2; unmap++) {
				int fd = open_disk(in_memory ? check_memory_file("", 0)
							     : disk_file());
				rig.block.store.zero_method = (enum zero_method)method;
				/* Off every grid, and longer than one block of zeroes. */
				CHECK_EQ(rig_do_range(VIRTIO_BLK_T_WRITE_ZEROES, 13, 777, unmap),
					 VIRTIO_BLK_S_OK);
				CHECK_EQ(rig.used_bytes, 1);
				check_only(fd, 13, 790, 0);
				CHECK_EQ(rig_do_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, SECTORS, unmap),
					 VIRTIO_BLK_S_OK);
				check_only(fd, 0, SECTORS, 0);
				rig_close();
			}
}

static void test_range_flags(void)
{
	int fd = open_disk(check_memory_file("", 0));

	for (unsigned bit = 0; bit < 32; bit++) {
		CHECK_EQ(rig_do_range(VIRTIO_BLK_T_DISCARD, 0, 8, 1u << bit), VIRTIO_BLK_S_UNSUPP);
		if (bit > 0)
			CHECK_EQ(rig_do_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 1u << bit),
				 VIRTIO_BLK_S_UNSUPP);
	}
	CHECK_EQ(rig_do_range(VIRTIO_BLK_T_DISCARD, 5, 0, 0), VIRTIO_BLK_S_OK);
	CHECK_EQ(rig_do_range(VIRTIO_BLK_T_WRITE_ZEROES, SECTORS, 0, 0), VIRTIO_BLK_S_OK);
	check_only(fd, 0, 0, 0);
	rig_close();
}

/* Class 8: no more at a time than what was announced, however large the disk. */
static void test_class_8_guest_sized_stall_largest_range(void)
{
	int fd = check_memory_file("", 0);
	uint32_t most = BLOCK_MAX_RANGE_SECTORS;

	rig_open_fd(fd, (uint64_t)1 << 40, false);
	CHECK_EQ(rig_do_range(VIRTIO_BLK_T_DISCARD, 100, most, 0), VIRTIO_BLK_S_OK);
	CHECK_EQ(rig_do_range(VIRTIO_BLK_T_DISCARD, 100, most + 1, 0), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(rig_do_range(VIRTIO_BLK_T_WRITE_ZEROES, 100, UINT32_MAX, 0), VIRTIO_BLK_S_IOERR);
	rig_close();
}

static void test_range_lengths(void)
{
	static const uint32_t lengths[] = { 1, 8, 15, 17, 32, 512 };
	int fd = open_disk(check_memory_file("", 0));

	memset(rig_at(DATA_GPA), 0, 512);
	*rig_at(DATA_GPA + 8) = 8; /* sectors */
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		CHECK_EQ(rig_do(VIRTIO_BLK_T_DISCARD, 0, DATA_GPA, lengths[i]), VIRTIO_BLK_S_IOERR);
		CHECK_EQ(rig_do(VIRTIO_BLK_T_WRITE_ZEROES, 0, DATA_GPA, lengths[i]),
			 VIRTIO_BLK_S_IOERR);
	}
	CHECK_EQ(rig_do(VIRTIO_BLK_T_DISCARD, 0, 0, 0), VIRTIO_BLK_S_IOERR);
	check_only(fd, 0, 0, 0);
	rig_close();
}

/* Whole sectors only: the rest of an image is out of reach, in both directions. */
static void test_sizes_off_the_grid(void)
{
	static const size_t sizes[] = { 512, 513, 1023, 1024, 4096 + 511, 4096 * 3 + 512 + 1 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int fd = rig_open_memory(sizes[i], false);
		uint64_t sectors = sizes[i] / 512;
		memset(rig_at(DATA_GPA), 5, 1024);
		CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, sectors - 1, DATA_GPA, 512), VIRTIO_BLK_S_OK);
		CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, sectors, DATA_GPA, 512), VIRTIO_BLK_S_IOERR);
		CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, sectors - 1, DATA_GPA, 1024), VIRTIO_BLK_S_IOERR);
		CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, sectors, DATA_GPA, 512), VIRTIO_BLK_S_IOERR);
		CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, sectors - 1, DATA_GPA + 4096, 512),
			 VIRTIO_BLK_S_OK);
		CHECK_FILLED(rig_at(DATA_GPA + 4096), 5, 512);
		CHECK(lseek(fd, 0, SEEK_END) == (off_t)sizes[i]);
		rig_close();
	}
}

int main(void)
{
	RUN(test_class_22_sector_overflow_transfers);
	RUN(test_class_22_sector_overflow_ranges);
	RUN(test_lengths_that_are_no_sectors);
	RUN(test_zeroes_by_every_method);
	RUN(test_range_flags);
	RUN(test_class_8_guest_sized_stall_largest_range);
	RUN(test_range_lengths);
	RUN(test_sizes_off_the_grid);
	return 0;
}
