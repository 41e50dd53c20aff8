/* SPDX-License-Identifier: MIT */
/* SMBIOS tables, found and walked as a kernel does. */
#include "boot/smbios.h"

#include "mem/layout.h"
#include "tests/unit/check.h"

static struct guest_memory memory;

static void setup(void)
{
	CHECK(guest_memory_map(&memory, 2 << 20));
	CHECK(smbios_write(&memory));
}

static const uint8_t *at(uint64_t gpa, uint64_t bytes)
{
	return guest_memory_at(&memory, gpa, bytes);
}

/* DSP0134 3.x, 5.2.2: at the first of the places, by its anchor and sum. */
static void test_entry(void)
{
	const uint8_t *entry = at(0xf0000, 24);
	uint8_t sum = 0;

	CHECK_BYTES(entry, "_SM3_", 5);
	CHECK_EQ(entry[6], 24);
	for (unsigned i = 0; i < entry[6]; i++)
		sum = (uint8_t)(sum + entry[i]);
	CHECK_EQ(sum, 0);
	CHECK_EQ(entry[7], 3);
	CHECK_EQ(entry[10], 1);
}

/* 6.1: structures with two zeroes behind their strings, up to type 127, and as many bytes as the entry tells. */
static void test_structures(void)
{
	uint32_t bytes, offset = 0;
	uint64_t gpa;
	uint8_t type = 0;

	CHECK(guest_memory_read(&memory, 0xf0000 + 12, &bytes, sizeof(bytes)));
	CHECK(guest_memory_read(&memory, 0xf0000 + 16, &gpa, sizeof(gpa)));
	CHECK(gpa >= 0xf0000 + 24 && gpa + bytes <= LAYOUT_MPTABLE_GPA);
	for (; offset + 4 <= bytes && type != 127; offset += 2) {
		const uint8_t *structure = at(gpa + offset, 4);
		type = structure[0];
		CHECK(structure[1] >= 4);
		for (offset += structure[1]; *at(gpa + offset, 1) | *at(gpa + offset + 1, 1);)
			offset++;
	}
	CHECK_EQ(type, 127);
	CHECK_EQ(offset, bytes);
}

static void test_no_ram(void)
{
	memory.low_bytes = LAYOUT_SMBIOS_GPA + 16;
	CHECK(!smbios_write(&memory));
	memory.low_bytes = memory.bytes;
}

int main(void)
{
	setup();
	RUN(test_entry);
	RUN(test_structures);
	RUN(test_no_ram);
	guest_memory_unmap(&memory);
	return 0;
}
