/* SPDX-License-Identifier: MIT */
/* Uses some memory (`mib=`), asks for a snapshot, and what goes on from there says so with a byte and ends. */
#include "rt/rt.h"

#define BOOT_TIMER_GPA  0xc0000000u
#define SNAPSHOT_WANTED 124
#define MEMORY_GPA      0x1000000u
#define PAGE_BYTES      4096u

void guest_main(const uint8_t *zero_page)
{
	uint64_t pages = cmdline_number(zero_page, "mib=", 26) * 256;

	for (uint64_t i = 0; i < pages; i++)
		*(volatile uint64_t *)(MEMORY_GPA + i * PAGE_BYTES) = i + 1;
	mmio_write8(BOOT_TIMER_GPA, SNAPSHOT_WANTED);
	outb(SERIAL_PORT, '@');
}
