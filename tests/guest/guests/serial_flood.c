/* SPDX-License-Identifier: MIT */
/* Prints `bytes=` bytes: lines of 64 that number themselves. */
#include "rt/rt.h"

#define LINE_BYTES 64

static void rep_outsb(uint16_t port, const void *from, size_t count)
{
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(port) : "memory");
}

static void make_line(uint8_t *line, uint64_t number)
{
	for (int i = LINE_BYTES - 2; i >= 0; i--, number /= 10)
		line[i] = (uint8_t)('0' + number % 10);
	line[LINE_BYTES - 1] = '\n';
}

void guest_main(const uint8_t *zero_page)
{
	uint64_t lines = cmdline_number(zero_page, "bytes=", 0) / LINE_BYTES;
	uint8_t line[LINE_BYTES];

	for (uint64_t i = 0; i < lines; i++) {
		make_line(line, i);
		rep_outsb(SERIAL_PORT, line, LINE_BYTES);
	}
}
