/* SPDX-License-Identifier: MIT */
/* One vCPU ends the VM, another asks for a snapshot `late=` ticks after it was told that the first is about to, and a third runs on. */
#include "rt/irq.h"
#include "rt/rt.h"

#define TRAMPOLINE_GPA  0x8000u
#define BOOT_TIMER_GPA  0xc0000000u
#define SNAPSHOT_WANTED 124
#define SETTLE_TSC      3000000u

extern const uint8_t end_trampoline[], end_trampoline_end[];

/* Real mode, at TRAMPOLINE_GPA: counts in; the first one ends the VM when it is told to. */
__asm__(".pushsection .text\n"
	".code16\n"
	"end_trampoline:\n"
	"	cli\n"
	"	mov %cs, %ax\n"
	"	mov %ax, %ds\n"
	"	mov $1, %ax\n"
	"	lock xaddw %ax, 0xffe\n"
	"	test %ax, %ax\n"
	"1:	jnz 1b\n"
	"2:	cmpw $0, 0xffc\n"
	"	je 2b\n"
	"	mov $2, %al\n"
	"	out %al, $0xf4\n"
	"3:	jmp 3b\n"
	"end_trampoline_end:\n"
	".code64\n"
	".popsection\n");

static volatile uint16_t *const counter = (volatile uint16_t *)(TRAMPOLINE_GPA + 0xffe);
static volatile uint16_t *const go = (volatile uint16_t *)(TRAMPOLINE_GPA + 0xffc);

static void start_cpu(uint32_t apic_id)
{
	lapic_start_cpu(apic_id, TRAMPOLINE_GPA, SETTLE_TSC);
	while (*counter < apic_id)
		cpu_pause();
}

void guest_main(const uint8_t *zero_page)
{
	memcpy((void *)TRAMPOLINE_GPA, end_trampoline,
	       (size_t)(end_trampoline_end - end_trampoline));
	*counter = *go = 0;
	lapic_enable();
	for (uint32_t id = 1; id < 3; id++)
		start_cpu(id);
	*go = 1;
	wait_tsc(cmdline_number(zero_page, "late=", 0));
	mmio_write8(BOOT_TIMER_GPA, SNAPSHOT_WANTED);
	for (;;)
		cpu_pause();
}
