/* SPDX-License-Identifier: MIT */
/* Fills memory, registers and the FPU with numbers, asks for a snapshot, and tells whether all is as it was: here, or in a clone.
 * With `mib=` so much memory; with `rounds=` it does so as often; `alone`: it does not ask. */
#include "rt/rt.h"

#define BOOT_TIMER_GPA  0xc0000000u
#define SNAPSHOT_WANTED 124
#define SNAPSHOT_NOT    0
#define MEMORY_GPA      0x1000000u
#define MIB             0x100000u

static struct {
	uint64_t general[13];
	uint8_t fpu[108];
} before, after;
static uint8_t request;

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	return *state ^= *state << 17;
}

static uint64_t hash(const uint64_t *words, uint64_t n)
{
	uint64_t sum = 0x9e3779b97f4a7c15;

	while (n-- > 0)
		sum = (sum ^ *words++) * 0x100000001b3;
	return sum;
}

static void fill(uint64_t *words, uint64_t n, uint64_t seed)
{
	while (n-- > 0)
		*words++ = next(&seed);
}

/* All registers but RAX, RBX and RSP hold numbers when the byte is written, and are stored right behind. */
static void ask(uint64_t seed)
{
	static const double numbers[] = { 3.25, -17.5, 1e100, 0.0078125 };

	const uint64_t *at = before.general;

	for (unsigned i = 0; i < 13; i++)
		before.general[i] = next(&seed);
	__asm__ volatile("fninit\n"
			 "fldl 0(%0)\nfldl 8(%0)\nfldl 16(%0)\nfldl 24(%0)\n"
			 "fnsave (%1)\nfrstor (%1)" ::"r"(numbers),
			 "r"(before.fpu)
			 : "memory");
	__asm__ volatile("push %%rbp\n"
			 "mov 0(%0), %%rcx\nmov 8(%0), %%rdx\nmov 16(%0), %%rsi\n"
			 "mov 24(%0), %%rdi\nmov 32(%0), %%rbp\nmov 40(%0), %%r8\n"
			 "mov 48(%0), %%r9\nmov 56(%0), %%r10\nmov 64(%0), %%r11\n"
			 "mov 72(%0), %%r12\nmov 80(%0), %%r13\nmov 88(%0), %%r14\n"
			 "mov 96(%0), %%r15\n"
			 "movl %2, %%eax\n"
			 "movb %3, %%bl\n"
			 "movb %%bl, (%%rax)\n"
			 "movl %1, %%eax\n"
			 "mov %%rcx, 0(%%rax)\nmov %%rdx, 8(%%rax)\nmov %%rsi, 16(%%rax)\n"
			 "mov %%rdi, 24(%%rax)\nmov %%rbp, 32(%%rax)\nmov %%r8, 40(%%rax)\n"
			 "mov %%r9, 48(%%rax)\nmov %%r10, 56(%%rax)\nmov %%r11, 64(%%rax)\n"
			 "mov %%r12, 72(%%rax)\nmov %%r13, 80(%%rax)\nmov %%r14, 88(%%rax)\n"
			 "mov %%r15, 96(%%rax)\n"
			 "pop %%rbp"
			 : "+b"(at)
			 : "i"(&after), "i"(BOOT_TIMER_GPA), "m"(request)
			 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
			   "r13", "r14", "r15", "memory");
	__asm__ volatile("fnsave (%0)" ::"r"(after.fpu) : "memory");
}

static bool same(const void *left, const void *right, unsigned bytes)
{
	const uint8_t *a = left, *b = right;

	while (bytes-- > 0)
		if (*a++ != *b++)
			return false;
	return true;
}

void guest_main(const uint8_t *zero_page)
{
	uint64_t words = cmdline_number(zero_page, "mib=", 1) * MIB / 8;
	uint64_t rounds = cmdline_number(zero_page, "rounds=", 1);
	bool alone = cmdline_value(zero_page, "alone") != NULL;
	uint64_t *memory = (uint64_t *)(uintptr_t)MEMORY_GPA;

	request = alone ? SNAPSHOT_NOT : SNAPSHOT_WANTED;
	for (uint64_t round = 0; round < rounds; round++) {
		fill(memory, words, round + 1);
		uint64_t sum = hash(memory, words);
		if (!alone)
			print("asks\n");
		ask(round + 77);
		print_check("memory", hash(memory, words) == sum);
		print_check("registers",
			    same(before.general, after.general, sizeof(before.general)));
		print_check("fpu", same(before.fpu, after.fpu, sizeof(before.fpu)));
	}
}
