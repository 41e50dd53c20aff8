/* SPDX-License-Identifier: MIT */
#include "rt/rt.h"

#define RESET_PORT  0x64
#define PULSE_RESET 0xfe

_Noreturn void guest_reset(void)
{
	outb(RESET_PORT, PULSE_RESET);
	for (;;)
		cpu_pause();
}

void print(const char *text)
{
	while (*text != '\0')
		outb(SERIAL_PORT, (uint8_t)*text++);
}

void print_bytes(const void *data, size_t length)
{
	const uint8_t *at = data;

	while (length-- > 0)
		outb(SERIAL_PORT, *at++);
}

void print_hex(uint64_t value)
{
	int shift = 60;

	while (shift > 0 && value >> shift == 0)
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		outb(SERIAL_PORT, (uint8_t) "0123456789abcdef"[value >> shift & 0xf]);
}

void print_number(const char *name, uint64_t value)
{
	print(name);
	print(" 0x");
	print_hex(value);
	print("\n");
}

void print_check(const char *name, bool ok)
{
	print(name);
	print(ok ? " ok\n" : " FAILED\n");
}

const char *cmdline_value(const uint8_t *zero_page, const char *name)
{
	const char *at = (const char *)(uintptr_t)load32(zero_page + ZERO_PAGE_CMDLINE);

	for (bool word_begins = true; *at != '\0'; at++) {
		size_t n = 0;
		while (word_begins && name[n] != '\0' && at[n] == name[n])
			n++;
		if (word_begins && name[n] == '\0')
			return at + n;
		word_begins = *at == ' ';
	}
	return NULL;
}

uint64_t cmdline_number(const uint8_t *zero_page, const char *name, uint64_t absent)
{
	const char *at = cmdline_value(zero_page, name);
	uint64_t value = 0;

	if (at == NULL)
		return absent;
	for (; *at >= '0' && *at <= '9'; at++)
		value = value * 10 + (uint64_t)(*at - '0');
	return value;
}

/* gcc calls these for copies and fills of its own, too. */

void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(length)::"memory");
	return to;
}

void *memset(void *to, int value, size_t length)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(length) : "a"(value) : "memory");
	return to;
}
