/* SPDX-License-Identifier: MIT */
/* Formatted text, beside what the C library makes of the same. */
#include "host/text.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/check.h"

/* Both, into every room up to one that is too large. */
#define SAME(...)                                                                                  \
	do {                                                                                       \
		char theirs[128], ours[128];                                                       \
		int length = snprintf(theirs, sizeof(theirs), __VA_ARGS__);                        \
		for (size_t room = 0; room <= (size_t)length + 2; room++) {                        \
			memset(theirs, 'x', sizeof(theirs));                                       \
			memset(ours, 'x', sizeof(ours));                                           \
			CHECK_EQ(snprintf(theirs, room, __VA_ARGS__), length);                     \
			CHECK_EQ(text_format(ours, room, __VA_ARGS__), length);                    \
			CHECK_BYTES(ours, theirs, sizeof(ours));                                   \
		}                                                                                  \
	} while (0)

#ifndef __clang__
#pragma GCC diagnostic ignored "-Wformat-truncation"
#endif

static void texts(void)
{
	SAME("%s", "");
	SAME("plain");
	SAME("100%%, %s%s.", "a", "bc");
	SAME("[%-8s][%8s][%-2s]", "disk", "disk", "disk");
	SAME("[%.3s][%.0s][%.9s]", "abcdef", "abcdef", "abcdef");
	SAME("[%.*s][%-*s][%*s]", 2, "abcdef", 5, "ab", 5, "ab");
	SAME("%.4s", (const char[4]){ 'a', 'b', 'c', 'd' }); /* no zero behind it */
	SAME("\xc3\xa4 %s", "\xff\x80");
}

static void numbers(void)
{
	static const long long values[] = { 0,         1,         9,        10,
					    -1,        -10,       INT_MAX,  INT_MIN,
					    LLONG_MAX, LLONG_MIN, 0xabcdef, 0x123456789abc };

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		long long value = values[i];
		SAME("%d %u %x %o", (int)value, (unsigned)value, (unsigned)value, (unsigned)value);
		SAME("%lld %llu %llx", value, (unsigned long long)value, (unsigned long long)value);
		SAME("%ld %lu %zu %lx", (long)value, (unsigned long)value, (size_t)value,
		     (unsigned long)value);
		SAME("[%04x][%02u][%03o]", (unsigned)value, (unsigned)value, (unsigned)value);
		SAME("[%-6u][%6d][%-*u]", (unsigned)value, (int)value, 7, (unsigned)value);
		if (value >= 0)
			SAME("[%09lld][%02d]", value, value > INT_MAX ? 5 : (int)value);
	}
}

static void read_numbers(void)
{
	static const struct {
		const char *text;
		uint64_t number;
		int length;
	} cases[] = {
		{ "", 0, 0 },
		{ "x1", 0, 0 },
		{ "-1", 0, 0 },
		{ " 1", 0, 0 },
		{ "0", 0, 1 },
		{ "007k", 7, 3 },
		{ "0x10", 0, 1 },
		{ "6.12", 6, 1 },
		{ "18446744073709551614", UINT64_MAX - 1, 20 },
		{ "18446744073709551615", UINT64_MAX, 20 },
		{ "18446744073709551616", UINT64_MAX, 20 },
		{ "18446744073709551620", UINT64_MAX, 20 },
		{ "99999999999999999999999,", UINT64_MAX, 23 },
		{ "184467440737095516150", UINT64_MAX, 21 },
	};
	const char *end;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_EQ(text_number(cases[i].text, &end), cases[i].number);
		CHECK_EQ(end - cases[i].text, cases[i].length);
	}
}

/* Many pieces, more than the buffer takes; the last of them are held back. */
static void prints(void)
{
	static char got[16384], expected[16384];
	int ends[2], real = dup(STDOUT_FILENO), length = 0;

	CHECK(pipe(ends) == 0);
	CHECK(dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO);
	for (int i = 0; i < 500; i++) {
		text_print("line %d: %s\n", i, "text");
		length += sprintf(expected + length, "line %d: %s\n", i, "text");
	}
	CHECK(text_print_end());
	CHECK_EQ(read(ends[0], got, sizeof(got)), length);
	CHECK_BYTES(got, expected, (size_t)length);
	CHECK(dup2(open("/dev/full", O_WRONLY), STDOUT_FILENO) == STDOUT_FILENO);
	for (int i = 0; i < 500; i++)
		text_print("line %d\n", i);
	CHECK(!text_print_end());
	CHECK_EQ(errno, ENOSPC);
	CHECK(dup2(real, STDOUT_FILENO) == STDOUT_FILENO);
}

int main(void)
{
	RUN(texts);
	RUN(numbers);
	RUN(read_numbers);
	RUN(prints);
	return 0;
}
