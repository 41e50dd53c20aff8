/* SPDX-License-Identifier: MIT */
/* Ctrl-a on a terminal, however the keys are spread over reads. */
#include "io/keyboard.h"
#include "tests/unit/check.h"

#define CTRL_A "\x01"

/* Feeds `input` in the pieces that `cuts` tells: bit i set is an end after byte i. */
static void check_split(const char *input, unsigned cuts, const char *expected, bool quits)
{
	uint8_t output[64], piece[64];
	unsigned n = (unsigned)strlen(input), start = 0, kept = 0;
	bool escape_seen = false, quit = false;

	for (unsigned i = 0; i < n && !quit; i++) {
		if (i + 1 < n && !(cuts & 1u << i))
			continue;
		unsigned length = i + 1 - start;
		unsigned got = keyboard_filter_escapes(&escape_seen, (const uint8_t *)input + start,
						       length, piece, &quit);
		CHECK(got <= length + 1);
		memcpy(output + kept, piece, got);
		kept += got;
		start = i + 1;
	}
	CHECK_EQ(quit, quits);
	CHECK_EQ(kept, strlen(expected));
	CHECK_BYTES(output, expected, kept);
}

static void test_all_splits(void)
{
	static const struct {
		const char *input, *expected;
		bool quits;
	} cases[] = {
		{ "hello", "hello", false },
		{ CTRL_A "x", "", true },
		{ "ab" CTRL_A "xcd", "ab", true },
		{ "x" CTRL_A, "x", false },
		{ CTRL_A CTRL_A, CTRL_A, false },
		{ CTRL_A CTRL_A "x", CTRL_A "x", false },
		{ CTRL_A CTRL_A CTRL_A "x", CTRL_A, true },
		{ CTRL_A "b" CTRL_A "X", CTRL_A "b" CTRL_A "X", false },
		{ CTRL_A CTRL_A CTRL_A CTRL_A, CTRL_A CTRL_A, false },
		{ "a" CTRL_A "b" CTRL_A CTRL_A "c\x03", "a" CTRL_A "b" CTRL_A "c\x03", false },
		{ "xx" CTRL_A "\x02x", "xx" CTRL_A "\x02x", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (unsigned cuts = 0; cuts < 1u << strlen(cases[i].input); cuts++)
			check_split(cases[i].input, cuts, cases[i].expected, cases[i].quits);
}

/* An escape that waited from the last read comes out with the next one: two bytes for one. */
static void test_room_that_is_needed(void)
{
	uint8_t output[4] = { 0, 0, 0xee, 0xee };
	bool escape_seen = true, quit = false;

	CHECK_EQ(keyboard_filter_escapes(&escape_seen, (const uint8_t *)"q", 1, output, &quit), 2);
	CHECK_BYTES(output, "\x01q\xee\xee", 4);
	CHECK(!quit && !escape_seen);
	CHECK_EQ(keyboard_filter_escapes(&escape_seen, output, 0, output, &quit), 0);
}

int main(void)
{
	RUN(test_all_splits);
	RUN(test_room_that_is_needed);
	return 0;
}
