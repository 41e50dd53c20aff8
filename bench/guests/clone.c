/* SPDX-License-Identifier: MIT */
/* Writes to some memory (`mib=`), says so with a byte, and asks for a snapshot. What goes on from there says so with another byte and
 * ends; with `bytes=` it writes so many and halts: a monitor without that register is asked for the snapshot by its API meanwhile. */
#include "rt/rt.h"

#define BOOT_TIMER_GPA  0xc0000000u
#define SNAPSHOT_WANTED 124
#define MEMORY_GPA      0x1000000u
#define PAGE_BYTES      4096u

void guest_main(const uint8_t *zero_page)
{
	uint64_t pages = cmdline_number(zero_page, "mib=", 26) * 256;
	uint64_t bytes = cmdline_number(zero_page, "bytes=", 0);

	for (uint64_t i = 0; i < pages; i++)
		*(volatile uint64_t *)(MEMORY_GPA + i * PAGE_BYTES) = i + 1;
	outb(SERIAL_PORT, 'w');
	mmio_write8(BOOT_TIMER_GPA, SNAPSHOT_WANTED);
	outb(SERIAL_PORT, '@');
	if (bytes == 0)
		return;
	while (--bytes > 0)
		outb(SERIAL_PORT, '@');
	for (;;)
		__asm__ volatile("cli\n\thlt");
}
