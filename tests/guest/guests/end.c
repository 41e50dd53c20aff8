/* SPDX-License-Identifier: MIT */
/* Ends, or does not: the command line names the way, each a word. */
#include "rt/irq.h"
#include "rt/rt.h"

struct idt_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

/* The monitor's own page tables hold at CPL 0 until here, and the GDT of start.S; no IDT at all: any
 * exception is a triple fault. */
static void triple_fault(void)
{
	const struct idt_pointer none = { 0, 0 };

	__asm__ volatile("lidt %0\n\tud2" ::"m"(none));
}

/* An instruction on device memory that KVM's emulator does not have: an emulation failure on every
 * host. */
static void fail_emulation(void)
{
	__asm__ volatile("cmpxchg16b (%0)" ::"r"(0xc8000000ul), "a"(0), "b"(0), "c"(0), "d"(0)
			 : "memory");
}

void guest_main_cpl0(const uint8_t *zero_page);

void guest_main_cpl0(const uint8_t *zero_page)
{
	if (cmdline_value(zero_page, "triple") != NULL)
		triple_fault();
	if (cmdline_value(zero_page, "internal") != NULL)
		fail_emulation();
	if (cmdline_value(zero_page, "halt") != NULL) {
		print("running\n");
		for (;;)
			__asm__ volatile("cli; hlt");
	}
}

/* As Linux does with the kernel word panic_warm: what the firmware finds after a panic, 0 after any other reset. */
static void set_warm_boot_flag(uint16_t flag)
{
	__asm__ volatile("movw %0, 0x472" ::"r"(flag) : "memory");
}

void guest_main(const uint8_t *zero_page)
{
	set_warm_boot_flag((uint16_t)cmdline_number(zero_page, "flag=", 0));
	if (cmdline_value(zero_page, "ready") != NULL)
		mmio_write8(0xc0000000, 123);
	if (cmdline_value(zero_page, "status-of-task") != NULL)
		outb(0xf4, (uint8_t)cmdline_number(zero_page, "TASK=", 0));
	if (cmdline_value(zero_page, "status=") != NULL)
		outb(0xf4, (uint8_t)cmdline_number(zero_page, "status=", 0));
	if (cmdline_value(zero_page, "reset") != NULL)
		guest_reset();
	print("running\n");
	if (cmdline_value(zero_page, "spin") != NULL)
		for (;;)
			compiler_barrier();
	if (cmdline_value(zero_page, "flood") != NULL)
		for (;;)
			print("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n");
	if (cmdline_value(zero_page, "jump-nowhere") != NULL) {
		__asm__ volatile("jmp *%0" ::"r"(0xc9000000ul));
	}
}
