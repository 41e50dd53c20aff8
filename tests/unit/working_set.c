/* SPDX-License-Identifier: MIT */
/* The pages that a clone touches first: found through each kind of page table, present then, and no others written; and registers and
 * tables without any sense harm nothing. */
#include "snapshot/working_set.h"

#include <fcntl.h>

#include "mem/page.h"
#include "tests/unit/check.h"

#define MEMORY_BYTES ((uint64_t)16 << 20)
#define PRESENT      3u
#define LARGE        (3u | 1u << 7)
#define CR0_PG       (1ull << 31)
#define CR4_LA57     (1ull << 12)
#define EFER_LMA     (1ull << 10)

enum {
	CODE_GPA = 0x5000,
	STACK_GPA = 0x7000,
	TASK_GPA = 0x9000,
	TSS_OFFSET = 0x840,
	ENTRY_STACK_GPA = 0xb000,
	CPU_GPA = 0x400000,
	CLOCK_GPA = 0xd000,
	TABLES_GPA = 0x100000,
};

static struct guest_memory memory;
static struct vcpu_state state;
static struct vcpu_msrs msrs;
static uint64_t next_table;

/* As a clone has it: of a file, in which each page holds its number. */
static void map_memory(void)
{
	char path[] = "/tmp/working-set-unit-XXXXXX";
	int fd = mkstemp(path);

	CHECK(fd >= 0 && unlink(path) == 0);
	for (uint64_t at = 0; at < MEMORY_BYTES; at += PAGE_BYTES)
		CHECK_EQ(pwrite(fd, &at, sizeof(at), (off_t)at), sizeof(at));
	CHECK(ftruncate(fd, MEMORY_BYTES) == 0);
	CHECK(guest_memory_map_file(&memory, MEMORY_BYTES, fd, 0));
	close(fd);
	memset(&state, 0, sizeof(state));
	memset(&msrs, 0, sizeof(msrs));
	next_table = TABLES_GPA + PAGE_BYTES;
}

/* What the test has written to is the file's, too: nothing is of this process's own any more. */
static void map_again(void)
{
	char path[] = "/tmp/working-set-unit-XXXXXX";
	int fd = mkstemp(path);

	CHECK(fd >= 0 && unlink(path) == 0);
	CHECK_EQ(pwrite(fd, memory.host, MEMORY_BYTES, 0), MEMORY_BYTES);
	guest_memory_unmap(&memory);
	CHECK(guest_memory_map_file(&memory, MEMORY_BYTES, fd, 0));
	close(fd);
}

/* /proc/self/pagemap's word. */
static uint64_t page_at(uint64_t gpa)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t word;

	CHECK(fd >= 0);
	CHECK_EQ(pread(fd, &word, sizeof(word),
		       (off_t)((uintptr_t)(memory.host + gpa) / PAGE_BYTES * sizeof(word))),
		 sizeof(word));
	close(fd);
	return word;
}

static bool is_present(uint64_t gpa)
{
	return page_at(gpa) >> 63 & 1;
}

/* Written to: a page of this process's own, and not the file's. */
static bool is_own(uint64_t gpa)
{
	return is_present(gpa) && !(page_at(gpa) >> 61 & 1);
}

static uint64_t *entry_at(uint64_t table, uint64_t linear, unsigned shift)
{
	return (uint64_t *)(memory.host + table) + (linear >> shift & 511);
}

/* Entries for a linear address, `flags` in the last one, which stands for pages of 1 << leaf bytes. */
static void map(uint64_t linear, uint64_t gpa, unsigned top, unsigned leaf, uint64_t flags)
{
	uint64_t table = TABLES_GPA;

	for (unsigned shift = top; shift > leaf; shift -= 9) {
		uint64_t *entry = entry_at(table, linear, shift);
		if (*entry < PAGE_BYTES) {
			*entry = next_table | PRESENT;
			memset(memory.host + next_table, 0, PAGE_BYTES);
			next_table += PAGE_BYTES;
		}
		table = *entry & ~(PAGE_BYTES - 1);
	}
	*entry_at(table, linear, leaf) = gpa | flags | 1ull << 63;
}

static void set_registers(uint64_t code, uint64_t stack, uint64_t task, uint64_t cpu)
{
	state.regs.rip = code + 0x123;
	state.regs.rsp = stack + PAGE_BYTES; /* empty */
	state.sregs.tr.base = task + TSS_OFFSET;
	state.sregs.gs.base = cpu + 0x1234;
	state.sregs.idt.base = state.sregs.gdt.base = 1ull << 46; /* nothing there */
	msrs.head.nmsrs = 1;
	msrs.entries[0] = (struct kvm_msr_entry){ .index = 0x4b564d01, .data = CLOCK_GPA | 1 };
}

static void check_pages(void)
{
	working_set_populate(&memory, &state, &msrs);
	CHECK(is_present(CODE_GPA) && !is_own(CODE_GPA));
	CHECK(is_own(STACK_GPA));
	CHECK(is_own(CPU_GPA + PAGE_BYTES));
	CHECK(is_own(CLOCK_GPA));
	CHECK(!is_own(STACK_GPA + PAGE_BYTES) && !is_own(CPU_GPA));
}

static void without_paging(void)
{
	map_memory();
	set_registers(CODE_GPA, STACK_GPA, TASK_GPA, CPU_GPA);
	check_pages();
	guest_memory_unmap(&memory);
}

static void through_tables(unsigned top)
{
	const uint64_t high = 0xffff800000000000ull;

	map_memory();
	memset(memory.host + TABLES_GPA, 0, PAGE_BYTES);
	map(0x400000, CODE_GPA, top, 12, PRESENT);
	map(0x7ff000, STACK_GPA, top, 12, PRESENT);
	map(high + 0x1000, TASK_GPA, top, 12, PRESENT);
	map(high + 0x8000, ENTRY_STACK_GPA, top, 12, PRESENT);
	map(high + 0x40000000, CPU_GPA, top, 21, LARGE);
	set_registers(0x400000, 0x7ff000, high + 0x1000, high + 0x40000000);
	const uint64_t entry_stack = high + 0x9000;
	memcpy(memory.host + TASK_GPA + TSS_OFFSET + 4, &entry_stack, sizeof(entry_stack));
	state.sregs.cr0 = CR0_PG;
	state.sregs.cr4 = top == 48 ? CR4_LA57 : 0;
	state.sregs.efer = EFER_LMA;
	state.sregs.cr3 = TABLES_GPA | 0xfff;
	map_again();
	check_pages();
	CHECK(is_own(ENTRY_STACK_GPA));
	/* Tables are written to by the CPU. */
	CHECK(is_own(TABLES_GPA) && is_own(TABLES_GPA + PAGE_BYTES));
	guest_memory_unmap(&memory);
}

static void four_levels(void)
{
	through_tables(39);
}

static void five_levels(void)
{
	through_tables(48);
}

static uint64_t any(void)
{
	static uint64_t seed = 42;
	static const uint64_t edges[] = {
		0, 1, 7, 0xff8, MEMORY_BYTES - 1, MEMORY_BYTES, UINT64_MAX
	};

	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	uint64_t bits = seed >> 20;
	switch (bits & 3) {
	case 0:
		return edges[bits / 4 % (sizeof(edges) / sizeof(edges[0]))];
	case 1:
		return seed;
	default:
		return bits % (MEMORY_BYTES + 2 * PAGE_BYTES);
	}
}

/* Tables that lead to themselves, to what is no memory, and anywhere. */
static void without_sense(void)
{
	map_memory();
	for (uint64_t at = 0; at < 256 * PAGE_BYTES; at += sizeof(uint64_t))
		*(uint64_t *)(memory.host + at) = any() | 1;
	for (unsigned i = 0; i < 20000; i++) {
		state.regs.rip = any();
		state.regs.rsp = any();
		state.sregs.cr0 = any();
		state.sregs.cr3 = any();
		state.sregs.cr4 = any();
		state.sregs.efer = any();
		state.sregs.gs.base = any();
		state.sregs.idt.base = any();
		state.sregs.gdt.base = any();
		state.sregs.tr.base = any();
		msrs.head.nmsrs = 3;
		msrs.entries[0] = (struct kvm_msr_entry){ .index = 0xc0000082, .data = any() };
		msrs.entries[1] = (struct kvm_msr_entry){ .index = 0xc0000102, .data = any() };
		msrs.entries[2] = (struct kvm_msr_entry){ .index = 0x4b564d03, .data = any() };
		working_set_populate(&memory, &state, &msrs);
	}
	guest_memory_unmap(&memory);
}

int main(void)
{
	RUN(without_paging);
	RUN(four_levels);
	RUN(five_levels);
	RUN(without_sense);
	return 0;
}
