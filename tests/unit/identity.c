/* SPDX-License-Identifier: MIT */
/* What tells clones apart, as a guest reads it. */
#include "io/identity.h"

#include "host/clock.h"
#include "tests/unit/check.h"

static struct identity identity;

static uint64_t read_page(uint64_t offset, unsigned length)
{
	uint8_t data[8] = { 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee };
	struct bus_access access = { offset, length, false, data };
	uint64_t value = 0;

	identity_read(&identity, &access);
	memcpy(&value, data, length);
	return value;
}

static void read_random(uint64_t random[4])
{
	for (unsigned i = 0; i < 4; i++)
		random[i] = read_page(IDENTITY_RANDOM_OFFSET + 8 * i, 8);
}

static void test_booted(void)
{
	for (uint64_t offset = 0; offset < 4096; offset += 8)
		CHECK(offset == IDENTITY_TIME_OFFSET || read_page(offset, 8) == 0);
}

static void test_time(void)
{
	uint64_t before = (uint64_t)clock_ns(CLOCK_REALTIME);
	uint64_t now = read_page(IDENTITY_TIME_OFFSET, 8);

	CHECK(now >= before && now <= (uint64_t)clock_ns(CLOCK_REALTIME));
	CHECK_EQ(read_page(IDENTITY_TIME_OFFSET + 4, 4), now >> 32);
}

/* Each restore, also of the same state, is another VM. */
static void test_clones(void)
{
	struct identity_state state = { 7 }, again;
	uint64_t random[3][4];
	struct error_text error;

	for (unsigned i = 0; i < 3; i++) {
		memset(&identity, 0, sizeof(identity));
		CHECK(identity_restore(&identity, &state, &error));
		CHECK_EQ(read_page(IDENTITY_GENERATION_OFFSET, 8), 8);
		read_random(random[i]);
		for (unsigned j = 0; j < 4 * i; j++)
			CHECK(random[i][j % 4] != random[j / 4][j % 4]);
	}
	identity_save(&identity, &again);
	CHECK_EQ(again.generation, 8);
}

/* At most 255 bytes, for this clone alone. */
static void test_text(void)
{
	struct identity_state state;

	memset(identity.text, 'x', sizeof(identity.text) - 1);
	CHECK_EQ(read_page(IDENTITY_TEXT_OFFSET, 8), 0x7878787878787878);
	CHECK_EQ(read_page(IDENTITY_TEXT_OFFSET + 248, 8), 0x0078787878787878);
	CHECK_EQ(read_page(IDENTITY_TEXT_OFFSET + 256, 8), 0);
	identity_save(&identity, &state);
	struct identity_state clean = { identity.generation };
	CHECK_BYTES(&state, &clean, sizeof(clean));
	memset(identity.text, 0, sizeof(identity.text));
}

static void test_edges(void)
{
	for (unsigned length = 1; length <= 8; length *= 2)
		for (uint64_t offset = 0; offset <= 4096 - length; offset++)
			CHECK(offset < 56 || read_page(offset, length) == 0);
	CHECK_EQ(read_page(55, 1), identity.random[31]);
}

int main(void)
{
	RUN(test_booted);
	RUN(test_time);
	RUN(test_clones);
	RUN(test_text);
	RUN(test_edges);
	return 0;
}
