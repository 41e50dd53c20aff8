/* SPDX-License-Identifier: MIT */
/* The iBFT, found and read as Linux does. */
#include "boot/ibft.h"

#include "mem/layout.h"
#include "tests/unit/check.h"

static struct guest_memory memory;

static const uint8_t *at(uint64_t gpa, uint64_t bytes)
{
	return guest_memory_at(&memory, gpa, bytes);
}

/* From 512 KiB to 1 MiB, without the VGA's memory. */
static uint64_t find(void)
{
	for (uint64_t gpa = 0x80000; gpa < 0x100000; gpa += gpa == 0x9fff0 ? 0x20010 : 16)
		if (memcmp(at(gpa, 4), "iBFT", 4) == 0)
			return gpa;
	return 0;
}

/* iBFT 1.03, 1.4: a header with a sum, a control structure without an initiator, an adapter or a target. */
static void test_table(void)
{
	uint64_t gpa = find();
	uint8_t sum = 0;

	CHECK_EQ(gpa, LAYOUT_IBFT_GPA);
	const uint8_t *table = at(gpa, 66);
	CHECK_EQ(table[4] | table[5] << 8 | table[6] << 16 | table[7] << 24, 66);
	CHECK_EQ(table[8], 1);
	for (unsigned i = 0; i < 66; i++)
		sum = (uint8_t)(sum + table[i]);
	CHECK_EQ(sum, 0);
	CHECK_EQ(table[48], 1);
	CHECK_EQ(table[49], 1);
	CHECK_EQ(table[50] | table[51] << 8, 18);
	for (unsigned i = 52; i < 66; i++)
		CHECK_EQ(table[i], 0);
}

/* The guest loses no memory by it. */
static void test_place(void)
{
	CHECK(LAYOUT_IBFT_GPA >= LAYOUT_LOW_RAM_END_GPA);
	CHECK(LAYOUT_IBFT_GPA + 66 <= 0xa0000);
}

static void test_no_ram(void)
{
	memory.low_bytes = LAYOUT_IBFT_GPA + 16;
	CHECK(!ibft_write(&memory));
	memory.low_bytes = memory.bytes;
}

int main(void)
{
	CHECK(guest_memory_map(&memory, 2 << 20));
	CHECK(ibft_write(&memory));
	RUN(test_table);
	RUN(test_place);
	RUN(test_no_ram);
	guest_memory_unmap(&memory);
	return 0;
}
