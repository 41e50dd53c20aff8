/* SPDX-License-Identifier: MIT */
/* guest_memory_at(): the one place where a guest address becomes a pointer (bug classes 3 and 5). */
#include "mem/guest_memory.h"

#include <linux/kvm.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem/layout.h"
#include "tests/unit/check.h"

#define MIB      ((uint64_t)1 << 20)
#define HOLE     ((uint64_t)LAYOUT_MMIO_HOLE_GPA)
#define FOUR_GIB ((uint64_t)LAYOUT_ABOVE_4G_GPA)
#define ALL_ONES UINT64_MAX

/* The slots that a VM is given. */
static struct kvm_userspace_memory_region slots[2];
static int n_slots, max_slots = 2;

int ioctl(int fd, unsigned long request, ...)
{
	va_list list;

	va_start(list, request);
	CHECK_EQ((unsigned)request, (unsigned)KVM_SET_USER_MEMORY_REGION);
	CHECK_EQ(fd, 77);
	errno = ENOMEM;
	if (n_slots < max_slots)
		slots[n_slots++] = *va_arg(list, struct kvm_userspace_memory_region *);
	else
		n_slots = -1;
	va_end(list);
	return n_slots < 0 ? -1 : 0;
}

/* The right answer, computed another way: byte by byte membership is the same as both ends lying in
 * the same region with no wrap in between. */
static void *expected_at(const struct guest_memory *memory, uint64_t gpa, uint64_t length)
{
	unsigned __int128 end = (unsigned __int128)gpa + length;

	if (length == 0)
		return NULL;
	if (end <= memory->low_bytes)
		return memory->host + gpa;
	if (gpa >= FOUR_GIB && end <= (unsigned __int128)FOUR_GIB + memory->high_bytes)
		return memory->host + memory->low_bytes + (gpa - FOUR_GIB);
	return NULL;
}

static void check_all_edges(uint64_t bytes)
{
	struct guest_memory memory;

	CHECK(guest_memory_map(&memory, bytes));
	CHECK_EQ(memory.low_bytes + memory.high_bytes, bytes);
	CHECK(memory.low_bytes <= HOLE);
	CHECK_EQ((uintptr_t)memory.host % (2 * MIB), 0);
	const uint64_t edges[] = {
		0,     memory.low_bytes, HOLE,        FOUR_GIB, FOUR_GIB + memory.high_bytes,
		bytes, ALL_ONES - 1,     ALL_ONES / 2
	};
	const uint64_t lengths[] = { 0,
				     1,
				     2,
				     4096,
				     memory.low_bytes,
				     memory.high_bytes,
				     bytes,
				     FOUR_GIB,
				     ALL_ONES / 2,
				     ALL_ONES };
	for (size_t e = 0; e < sizeof(edges) / sizeof(edges[0]); e++)
		for (uint64_t gpa = edges[e] - 3; gpa != edges[e] + 4; gpa++)
			for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++)
				for (int d = -3; d <= 3; d++) {
					uint64_t length = lengths[l] + (uint64_t)d;
					CHECK(guest_memory_at(&memory, gpa, length) ==
					      expected_at(&memory, gpa, length));
				}
	guest_memory_unmap(&memory);
	CHECK(guest_memory_at(&memory, 0, 1) == NULL);
}

static void test_edges(void)
{
	check_all_edges(2 * MIB);
	check_all_edges(128 * MIB);
	check_all_edges(HOLE - 4096);
	check_all_edges(HOLE);
	check_all_edges(HOLE + 4096);
	check_all_edges(FOUR_GIB);
	check_all_edges(8192 * MIB);
	check_all_edges(1024 * 1024 * MIB);
}

/* Lengths that run to the end of the region, and those that make address plus length wrap. */
static void test_sums_that_wrap(void)
{
	struct guest_memory memory;

	CHECK(guest_memory_map(&memory, 8192 * MIB));
	for (uint64_t gpa = 1; gpa < 64; gpa++)
		for (uint64_t reach = 0; reach <= gpa; reach++)
			CHECK(guest_memory_at(&memory, gpa, (uint64_t)0 - gpa + reach) == NULL);
	for (uint64_t reach = 0; reach < 64; reach++)
		CHECK(guest_memory_at(&memory, FOUR_GIB + 5, (uint64_t)0 - FOUR_GIB - 5 + reach) ==
		      NULL);
	CHECK(guest_memory_at(&memory, HOLE - 1, 2) == NULL);
	CHECK(guest_memory_at(&memory, HOLE - 1, FOUR_GIB - HOLE + 2) == NULL);
	CHECK(guest_memory_at(&memory, FOUR_GIB - 1, 1) == NULL);
	CHECK(guest_memory_at(&memory, FOUR_GIB - 1, 2) == NULL);
	guest_memory_unmap(&memory);
}

/* Both parts keep what is written to them, beside each other in the one mapping. */
static void test_read_and_write(void)
{
	struct guest_memory memory;
	char text[8] = { 0 };

	CHECK(guest_memory_map(&memory, HOLE + 2 * MIB));
	CHECK(guest_memory_write(&memory, HOLE - 4, "abcd", 4));
	CHECK(guest_memory_write(&memory, FOUR_GIB, "efgh", 4));
	CHECK(guest_memory_read(&memory, HOLE - 4, text, 4));
	CHECK_STRING(text, "abcd");
	CHECK(guest_memory_read(&memory, FOUR_GIB, text, 4));
	CHECK_STRING(text, "efgh");
	CHECK(!guest_memory_write(&memory, HOLE - 4, "ABCDEFGH", 8));
	CHECK(!guest_memory_read(&memory, FOUR_GIB + 2 * MIB - 3, text, 4));
	CHECK_STRING(text, "efgh");
	CHECK(guest_memory_read(&memory, HOLE - 4, text, 4));
	CHECK_STRING(text, "abcd");
	guest_memory_unmap(&memory);
}

static void test_memory_starts_zeroed(void)
{
	struct guest_memory memory;

	CHECK(guest_memory_map(&memory, 4 * MIB));
	CHECK_FILLED(guest_memory_at(&memory, 0, 4 * MIB), 0, 4 * MIB);
	guest_memory_unmap(&memory);
}

/* All RAM and nothing else, around the hole. */
static void test_slots(void)
{
	struct guest_memory memory;

	CHECK(guest_memory_map(&memory, HOLE + 2 * MIB));
	n_slots = 0;
	CHECK(guest_memory_register(&memory, 77));
	CHECK_EQ(n_slots, 2);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(slots[i].slot, i);
		CHECK_EQ(slots[i].flags, 0);
		CHECK_EQ(slots[i].guest_phys_addr, i == 0 ? 0 : FOUR_GIB);
		CHECK_EQ(slots[i].memory_size, i == 0 ? HOLE : 2 * MIB);
		CHECK_EQ(slots[i].userspace_addr, (uintptr_t)memory.host + (i == 0 ? 0 : HOLE));
	}
	for (max_slots = 0; max_slots < 2; max_slots++) {
		n_slots = 0;
		CHECK(!guest_memory_register(&memory, 77));
	}
	guest_memory_unmap(&memory);
	CHECK(guest_memory_map(&memory, 2 * MIB));
	n_slots = 0;
	CHECK(guest_memory_register(&memory, 77));
	CHECK_EQ(n_slots, 1);
	guest_memory_unmap(&memory);
}

static bool is_resident(const struct guest_memory *memory, uint64_t gpa)
{
	unsigned char resident;

	CHECK_EQ(mincore(memory->host + gpa, 4096, &resident), 0);
	return resident & 1;
}

/* What is populated is there before it is touched, and keeps its content; where there is no RAM nothing happens. */
static void test_pages(void)
{
	struct guest_memory memory;
	uint8_t byte = 7;

	CHECK(guest_memory_map(&memory, 8 * MIB));
	guest_memory_avoid_huge_pages(&memory);
	CHECK(!is_resident(&memory, MIB));
	guest_memory_populate(&memory, MIB + 5);
	CHECK(is_resident(&memory, MIB));
	CHECK(!is_resident(&memory, MIB + 4096));
	CHECK(guest_memory_write(&memory, MIB, &byte, 1));
	guest_memory_populate(&memory, MIB);
	CHECK(guest_memory_read(&memory, MIB, &byte, 1));
	CHECK_EQ(byte, 7);
	guest_memory_populate(&memory, 8 * MIB);
	guest_memory_populate(&memory, ALL_ONES);
	guest_memory_prefer_huge_pages(&memory);
	CHECK_EQ(byte, 7);
	guest_memory_unmap(&memory);
}

/* More than any host has: set aside for this VM, or refused. */
static void test_reserved_pages(void)
{
	struct guest_memory memory = { 0 };

	CHECK(!guest_memory_map_hugetlb(&memory, (uint64_t)1 << 46));
	CHECK(memory.host == NULL);
	CHECK(!guest_memory_map(&memory, (uint64_t)1 << 50));
	/* Where the pool has some. */
	if (!guest_memory_map_hugetlb(&memory, 2 * MIB))
		return;
	CHECK_EQ((uintptr_t)memory.host % (2 * MIB), 0);
	guest_memory_unmap(&memory);
}

/* A file's pages, too, wherever there is room: the place below the program is taken by the first. */
static void test_alignment(void)
{
	struct guest_memory memories[3];
	char name[] = "/tmp/guest-memory-XXXXXX";
	int fd = mkstemp(name);
	char byte;

	CHECK(fd >= 0 && unlink(name) == 0 && ftruncate(fd, 4 * MIB) == 0);
	CHECK_EQ(pwrite(fd, "x", 1, MIB), 1);
	for (unsigned i = 0; i < 3; i++) {
		if (i == 1)
			CHECK(guest_memory_map(&memories[i], 3 * MIB));
		else
			CHECK(guest_memory_map_file(&memories[i], 3 * MIB, fd, MIB));
		CHECK_EQ((uintptr_t)memories[i].host % (2 * MIB), 0);
		CHECK(guest_memory_read(&memories[i], 0, &byte, 1));
		CHECK_EQ(byte, i == 1 ? 0 : 'x');
		CHECK(guest_memory_write(&memories[i], 3 * MIB - 1, "y", 1));
	}
	CHECK(memories[0].host != memories[2].host);
	for (unsigned i = 0; i < 3; i++)
		munmap(memories[i].host, 3 * MIB);
	close(fd);
}

int main(void)
{
	RUN(test_alignment);
	RUN(test_edges);
	RUN(test_sums_that_wrap);
	RUN(test_read_and_write);
	RUN(test_memory_starts_zeroed);
	RUN(test_slots);
	RUN(test_pages);
	RUN(test_reserved_pages);
	return 0;
}
