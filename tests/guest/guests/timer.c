/* SPDX-License-Identifier: MIT */
/* The PIT through the PIC and through the IOAPIC, and the local APIC's timer in each of its modes:
 * prints the interrupts taken from each. With `wanted=` it takes so many of each but the one-shots;
 * `deadline`: only the last. */
#include "rt/irq.h"
#include "rt/rt.h"

#define WANTED         20u
#define PIT_COUNT      (PIT_HZ / 500)
#define VECTOR_IOAPIC  0x40
#define VECTOR_LAPIC   0x50
#define PIC_TIMER_LINE 0
#define IOAPIC_TIMER   2
#define LVT_EXTINT     0x700u
#define APIC_PERIOD    2000000u /* ns or so: KVM's APIC bus runs at 1 GHz */
#define DIVIDE_BY_1    0xb
#define TIME_LIMIT_TSC 20000000000u /* 5 s or more */
#define LVT_ONE_SHOT   0u
#define LVT_DEADLINE   0x40000u
#define VECTOR_CPL0    0x60
#define ICR_TO_SELF    0x44000u
#define MSR_DEADLINE   0x6e0u
#define DEADLINE_TSC   2000000u

GUEST_WITH_INTERRUPTS;

static volatile uint32_t ticks;
static uint32_t wanted;

static void pic_tick(void)
{
	ticks++;
	pic_end_of_interrupt(PIC_TIMER_LINE);
}

static void apic_tick(void)
{
	ticks++;
	lapic_write(LAPIC_EOI, 0);
}

static void wait_and_report(const char *name)
{
	uint64_t start = read_tsc();

	while (ticks < wanted && read_tsc() - start < TIME_LIMIT_TSC)
		cpu_pause();
	print_check(name, ticks >= wanted);
	ticks = 0;
}

static void one_shots(void)
{
	uint64_t start = read_tsc();

	lapic_write(LAPIC_LVT_TIMER, LVT_ONE_SHOT | VECTOR_LAPIC);
	for (uint32_t shot = 0; shot < 3; shot++) {
		lapic_write(LAPIC_TIMER_INITIAL, APIC_PERIOD);
		while (ticks <= shot && read_tsc() - start < TIME_LIMIT_TSC)
			cpu_pause();
	}
	print_check("lapic one-shot", ticks == 3);
	ticks = 0;
}

/* At CPL 0: the deadline is set in an MSR. */
static void arm_deadline(void)
{
	uint64_t deadline = read_tsc() + DEADLINE_TSC;

	__asm__ volatile("wrmsr" ::"c"(MSR_DEADLINE), "a"((uint32_t)deadline),
			 "d"((uint32_t)(deadline >> 32)));
	lapic_write(LAPIC_EOI, 0);
}

static void deadline_tick(void)
{
	if (++ticks < wanted)
		arm_deadline();
	else
		lapic_write(LAPIC_EOI, 0);
}

static void deadlines(void)
{
	uint32_t eax = 1, ebx, ecx = 0, edx;

	__asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	print_check("tsc-deadline announced", ecx >> 24 & 1);
	irq_set_handler(VECTOR_LAPIC, deadline_tick);
	irq_set_handler(VECTOR_CPL0, arm_deadline);
	lapic_write(LAPIC_LVT_TIMER, LVT_DEADLINE | VECTOR_LAPIC);
	lapic_write(LAPIC_ICR_LOW, ICR_TO_SELF | VECTOR_CPL0);
	wait_and_report("tsc-deadline");
}

void guest_main(const uint8_t *zero_page)
{
	wanted = (uint32_t)cmdline_number(zero_page, "wanted=", WANTED);
	irq_init();
	irq_set_handler(IRQ_PIC_FIRST_VECTOR + PIC_TIMER_LINE, pic_tick);
	irq_set_handler(VECTOR_IOAPIC, apic_tick);
	irq_set_handler(VECTOR_LAPIC, apic_tick);

	lapic_enable();
	if (cmdline_value(zero_page, "deadline") != NULL) {
		pic_init(0xffff);
		deadlines();
		return;
	}
	print_number("lint0", lapic_read(LAPIC_LVT_LINT0) & 0x1ffff);
	lapic_write(LAPIC_LVT_LINT0, LVT_EXTINT);
	pic_init((uint16_t) ~(1u << PIC_TIMER_LINE));
	pit_start(PIT_COUNT);
	wait_and_report("pit pic");

	pic_init(0xffff);
	ioapic_route(IOAPIC_TIMER, VECTOR_IOAPIC);
	wait_and_report("pit ioapic");
	ioapic_mask(IOAPIC_TIMER);

	lapic_write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_1);
	lapic_write(LAPIC_LVT_TIMER, LVT_PERIODIC | VECTOR_LAPIC);
	lapic_write(LAPIC_TIMER_INITIAL, APIC_PERIOD);
	wait_and_report("lapic periodic");
	one_shots();
	deadlines();
}
