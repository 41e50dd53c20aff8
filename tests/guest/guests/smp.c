/* SPDX-License-Identifier: MIT */
/* The boot processor starts the others with INIT and SIPI; each counts itself in. `cpus=` are there. */
#include "rt/irq.h"
#include "rt/rt.h"

#define TRAMPOLINE_GPA 0x8000u
#define TIME_LIMIT_TSC 6000000000u /* 1 s or more */
#define SETTLE_TSC     30000000u
#define SIPIS          2

extern const uint8_t smp_trampoline[], smp_trampoline_end[];

/* Real mode, at TRAMPOLINE_GPA: counts in the last word of its page and halts. */
__asm__(".pushsection .text\n"
	".code16\n"
	"smp_trampoline:\n"
	"	cli\n"
	"	mov %cs, %ax\n"
	"	mov %ax, %ds\n"
	"	lock incw 0xffe\n"
	"1:	hlt\n"
	"	jmp 1b\n"
	"smp_trampoline_end:\n"
	".code64\n"
	".popsection\n");

static volatile uint16_t *const counter = (volatile uint16_t *)(TRAMPOLINE_GPA + 0xffe);

static void start_cpu(uint32_t apic_id)
{
	lapic_start_cpu(apic_id, TRAMPOLINE_GPA, SETTLE_TSC);
	wait_tsc(SETTLE_TSC);
	for (unsigned i = 1; i < SIPIS; i++) {
		lapic_send_startup(apic_id, TRAMPOLINE_GPA);
		wait_tsc(SETTLE_TSC);
	}
}

void guest_main(const uint8_t *zero_page)
{
	uint32_t cpus = (uint32_t)cmdline_number(zero_page, "cpus=", 1);
	uint64_t start;

	memcpy((void *)TRAMPOLINE_GPA, smp_trampoline,
	       (size_t)(smp_trampoline_end - smp_trampoline));
	*counter = 0;
	print("starting\n");
	lapic_enable();
	for (uint32_t id = 1; id < cpus; id++)
		start_cpu(id);
	start = read_tsc();
	while (*counter < cpus - 1 && read_tsc() - start < TIME_LIMIT_TSC)
		cpu_pause();
	wait_tsc(SETTLE_TSC); /* the second SIPI must not count a processor twice */
	print_number("others", *counter);
}
