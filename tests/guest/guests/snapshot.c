/* SPDX-License-Identifier: MIT */
/* Fills memory, registers and the FPU (x87, SSE and, where there is XSAVE, AVX) with numbers, asks for a snapshot, and tells whether all is as it was: here, or in a clone.
 * With `mib=` so much memory; with `rounds=` it does so as often; `alone`: it does not ask. */
#include "rt/rt.h"

#define BOOT_TIMER_GPA  0xc0000000u
#define TEXT_OFFSET     64
#define TEXT_WORDS      32
#define SNAPSHOT_WANTED 124
#define SNAPSHOT_NOT    0
#define MEMORY_GPA      0x1000000u
#define MIB             0x100000u
#define CPUID_XSAVE     (1u << 26)
#define CPUID_AVX       (1u << 28)
#define CR0_MP          (1u << 1)
#define CR0_EM          (1u << 2)
#define CR4_SSE         (3u << 9)
#define CR4_OSXSAVE     (1u << 18)
#define XCR0_AVX        7u
#define MXCSR           0x7f80u /* rounds to zero; all exceptions are masked */

static struct {
	uint64_t general[13];
	uint8_t fpu[832] __attribute__((aligned(64))); /* as XSAVE has it */
} before, after;
static uint8_t request;
static bool has_avx;

void guest_main_cpl0(const uint8_t *zero_page);

void guest_main_cpl0(const uint8_t *zero_page)
{
	const uint32_t wanted = CPUID_XSAVE | CPUID_AVX;
	uint32_t a = 1, b, c = 0, d;
	uint64_t cr0, cr4;

	(void)zero_page;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	has_avx = (c & wanted) == wanted;
	__asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
	__asm__ volatile("mov %0, %%cr0" ::"r"((cr0 & ~(uint64_t)CR0_EM) | CR0_MP));
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("mov %0, %%cr4" ::"r"(cr4 | CR4_SSE | (has_avx ? CR4_OSXSAVE : 0)));
	if (has_avx)
		__asm__ volatile("xsetbv" ::"a"(XCR0_AVX), "c"(0), "d"(0));
}

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

/* So that no two registers hold the same, nor any of them zero. */
static void load_fpu(uint64_t seed)
{
	static const double numbers[] = { 3.25, -17.5, 1e100, 0.0078125 };
	static const uint32_t mxcsr = MXCSR;
	static uint64_t vectors[16][4];

	fill(vectors[0], sizeof(vectors) / 8, seed);
	__asm__ volatile("fninit\n"
			 "fldl 0(%0)\nfldl 8(%0)\nfldl 16(%0)\nfldl 24(%0)\n"
			 "ldmxcsr %1" ::"r"(numbers),
			 "m"(mxcsr)
			 : "memory");
	if (has_avx)
		__asm__ volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
				 "vmovups 32*\\n(%0), %%ymm\\n\n"
				 ".endr" ::"r"(vectors)
				 : "memory");
	else
		__asm__ volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
				 "movups 32*\\n(%0), %%xmm\\n\n"
				 ".endr" ::"r"(vectors)
				 : "memory");
}

static void store_fpu(uint8_t *fpu)
{
	memset(fpu, 0, sizeof(before.fpu));
	if (has_avx)
		__asm__ volatile("xsave64 (%0)" ::"r"(fpu), "a"(XCR0_AVX), "d"(0) : "memory");
	else
		__asm__ volatile("fxsave64 (%0)" ::"r"(fpu) : "memory");
}

/* All registers but RAX, RBX and RSP hold numbers when the byte is written, and are stored right behind. */
static void ask(uint64_t seed)
{
	const uint64_t *at = before.general;

	for (unsigned i = 0; i < 13; i++)
		before.general[i] = next(&seed);
	load_fpu(seed);
	store_fpu(before.fpu);
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
	store_fpu(after.fpu);
}

static bool same(const void *left, const void *right, unsigned bytes)
{
	const uint8_t *a = left, *b = right;

	while (bytes-- > 0)
		if (*a++ != *b++)
			return false;
	return true;
}

/* What the clone's order has told, if anything. */
static void print_text(void)
{
	uint64_t text[TEXT_WORDS];

	for (unsigned i = 0; i < TEXT_WORDS; i++)
		text[i] = mmio_read64(BOOT_TIMER_GPA + TEXT_OFFSET + i * 8);
	if (text[0] == 0)
		return;
	print((const char *)text);
	print("\n");
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
		print_text();
		print_check("memory", hash(memory, words) == sum);
		print_check("registers",
			    same(before.general, after.general, sizeof(before.general)));
		print_check("fpu", same(before.fpu, after.fpu, sizeof(before.fpu)));
	}
}
