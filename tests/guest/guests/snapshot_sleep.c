/* SPDX-License-Identifier: MIT */
/* A guest of the age `age_ms=` asks for a snapshot while a deadline is armed, and tells what a clone finds behind that instant: whether
 * its TSC or KVM's clock went back, whether the two agree, and whether a sleep of 1 ms takes less than 2. */
#include "rt/irq.h"
#include "rt/rt.h"

#define PAGE_GPA        0xc0000000u
#define PAGE_TIME       16
#define SNAPSHOT_WANTED 124
#define VECTOR_LAPIC    0x50
#define VECTOR_CPL0     0x60
#define ICR_TO_SELF     0x44000u
#define LVT_DEADLINE    0x40000u
#define MSR_DEADLINE    0x6e0u
#define MSR_KVM_CLOCK   0x4b564d01u
#define CPUID_KVM       0x40000001u
#define CPUID_KVM_CLOCK (1u << 3)
#define NS_IN_MS        1000000u
#define DISAGREE_NS     (5 * NS_IN_MS)
#define AHEAD_MS        20
#define MOST_SLEEPS     500 /* on a busy machine */
#define SHORT_NS        (2 * NS_IN_MS)

GUEST_WITH_INTERRUPTS;

/* KVM's, for this vCPU. */
static volatile struct {
	uint32_t version, pad;
	uint64_t tsc, ns;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pads[2];
} pvclock __attribute__((aligned(64)));
static bool has_pvclock;
static volatile uint64_t deadline; /* 0: it has come */

void guest_main_cpl0(const uint8_t *zero_page);

void guest_main_cpl0(const uint8_t *zero_page)
{
	uint32_t a = CPUID_KVM, b, c = 0, d;

	(void)zero_page;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	has_pvclock = a & CPUID_KVM_CLOCK;
	if (has_pvclock)
		__asm__ volatile("wrmsr" ::"c"(MSR_KVM_CLOCK),
				 "a"((uint32_t)(uintptr_t)&pvclock | 1), "d"(0));
}

static uint64_t host_ns(void)
{
	return mmio_read64(PAGE_GPA + PAGE_TIME);
}

/* The host's where KVM has none: it costs an exit. */
static uint64_t clock_ns(void)
{
	uint64_t ns;
	uint32_t version;

	if (!has_pvclock)
		return host_ns();
	do {
		version = pvclock.version;
		uint64_t ticks = read_tsc() - pvclock.tsc;
		ticks = pvclock.shift < 0 ? ticks >> -pvclock.shift : ticks << pvclock.shift;
		ns = pvclock.ns + (uint64_t)((unsigned __int128)ticks * pvclock.mul >> 32);
	} while ((version & 1) != 0 || version != pvclock.version);
	return ns;
}

/* The least of some: a window is never too short, but too long where this processor has to wait. */
static uint64_t measure_tsc_per_ms(unsigned windows, uint64_t window_ns)
{
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < windows; i++) {
		uint64_t tsc = read_tsc(), start = host_ns(), passed;
		do
			passed = host_ns() - start;
		while (passed < window_ns);
		uint64_t per_ms = (read_tsc() - tsc) * NS_IN_MS / passed;
		if (per_ms < least)
			least = per_ms;
	}
	return least;
}

/* At CPL 0. */
static void arm(void)
{
	__asm__ volatile("wrmsr" ::"c"(MSR_DEADLINE), "a"((uint32_t)deadline),
			 "d"((uint32_t)(deadline >> 32)));
	lapic_write(LAPIC_EOI, 0);
}

static void tick(void)
{
	deadline = 0;
	lapic_write(LAPIC_EOI, 0);
}

static void arm_at(uint64_t tsc)
{
	deadline = tsc;
	lapic_write(LAPIC_ICR_LOW, ICR_TO_SELF | VECTOR_CPL0);
}

static void wait_for_tick(void)
{
	while (deadline != 0)
		cpu_pause();
}

static bool sleeps_a_millisecond(uint64_t tsc_per_ms)
{
	for (unsigned i = 0; i < MOST_SLEEPS; i++) {
		uint64_t start = clock_ns();
		arm_at(read_tsc() + tsc_per_ms);
		wait_for_tick();
		if (clock_ns() - start < SHORT_NS)
			return true;
	}
	return false;
}

void guest_main(const uint8_t *zero_page)
{
	uint64_t start = read_tsc(), age_ms = cmdline_number(zero_page, "age_ms=", 10);
	uint64_t tsc_per_ms = measure_tsc_per_ms(1, 2 * NS_IN_MS), before_ns, before, after_ns,
		 after;

	irq_init();
	irq_set_handler(VECTOR_LAPIC, tick);
	irq_set_handler(VECTOR_CPL0, arm);
	pic_init(0xffff);
	lapic_enable();
	lapic_write(LAPIC_LVT_TIMER, LVT_DEADLINE | VECTOR_LAPIC);
	while (read_tsc() - start < age_ms * tsc_per_ms)
		cpu_pause();
	arm_at(read_tsc() + AHEAD_MS * tsc_per_ms);
	before_ns = clock_ns();
	before = read_tsc();
	mmio_write8(PAGE_GPA, SNAPSHOT_WANTED);
	after = read_tsc();
	after_ns = clock_ns();

	tsc_per_ms = measure_tsc_per_ms(8, 5 * NS_IN_MS);
	uint64_t tsc_ns = (after - before) * NS_IN_MS / tsc_per_ms,
		 passed_ns = after_ns - before_ns;
	print_check("tsc", after > before);
	print_check("kvm clock", after_ns >= before_ns);
	print_check("agree", !has_pvclock || (tsc_ns < passed_ns + DISAGREE_NS &&
					      passed_ns < tsc_ns + DISAGREE_NS));
	wait_for_tick();
	print_check("armed before", true);
	print_check("sleep", sleeps_a_millisecond(tsc_per_ms));
}
