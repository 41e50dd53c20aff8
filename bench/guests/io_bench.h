/* SPDX-License-Identifier: MIT */
/* Common to the guests of io.sh: how long they measure, and how they say what they have counted. */
#ifndef BENCH_GUESTS_IO_BENCH_H
#define BENCH_GUESTS_IO_BENCH_H

#include "rt/rt.h"
#include "rt/virtio.h"

/* The device's number among the windows, from the command line's virtio_mmio.device=4K@0x...: monitors place
 * them differently. The first one, unless device=N asks for another. */
static inline unsigned device_index(const uint8_t *zero_page)
{
	const char *word = cmdline_value(zero_page, "virtio_mmio.device=4K@0x");
	uint64_t gpa = 0, wanted = cmdline_number(zero_page, "device=", 0);

	for (; word != NULL && *word != ':' && *word != '\0'; word++)
		gpa = gpa << 4 | (uint64_t)(*word <= '9' ? *word - '0' : (*word | 0x20) - 'a' + 10);
	return (unsigned)((gpa - VIRTIO_WINDOW(0)) / 0x1000 + wanted);
}

/* Between these two lines the host measures the time; ticks of the TSC only tell the guest when to stop. */
static inline uint64_t measure_begin(const uint8_t *zero_page)
{
	uint64_t ticks = cmdline_number(zero_page, "kticks=", 1000000) * 1000;

	print("begin\n");
	return read_tsc() + ticks;
}

static inline void measure_end(uint64_t count)
{
	print_number("count", count);
}

static inline void give_up(const char *what)
{
	print_check(what, false);
	guest_reset();
}

#endif
