/* SPDX-License-Identifier: MIT */
/* The line that lets a waiting monitor's guest go on: what it may say, and that anything else is refused with one text. */
#include "config/start_order.h"

#include "tests/unit/check.h"

static struct start_order order;
static struct error_text error;

/* What was read, with its newline. */
static bool parse_read(const char *text)
{
	static char line[START_ORDER_BYTES * 2];

	snprintf(line, sizeof(line), "%s", text);
	error.text[0] = '\0';
	bool good = start_order_parse(&order, line, &error);
	CHECK_EQ(good, error.text[0] == '\0');
	CHECK(strlen(order.text) < IDENTITY_TEXT_BYTES || !good);
	CHECK(strchr(error.text, '\n') == NULL);
	return good;
}

static bool parse(const char *text)
{
	char line[START_ORDER_BYTES * 2];

	snprintf(line, sizeof(line), "%s\n", text);
	return parse_read(line);
}

static void test_good(void)
{
	CHECK(parse("go"));
	CHECK(order.guest_cid == 0 && order.text[0] == '\0');
	CHECK(parse("go cid=3"));
	CHECK_EQ(order.guest_cid, 3);
	CHECK(parse("go cid=4294967294 text=web 17, 10.0.0.17/24 text=x cid=y"));
	CHECK_EQ(order.guest_cid, 4294967294);
	CHECK_STRING(order.text, "web 17, 10.0.0.17/24 text=x cid=y");
	CHECK(parse("go text="));
	CHECK_STRING(order.text, "");
	CHECK(parse("go text= a "));
	CHECK_STRING(order.text, " a ");
	CHECK_EQ(order.guest_cid, 0);
}

static void expect_bad(const char *line, const char *why)
{
	CHECK(!parse(line));
	CHECK_HAS(error.text, why);
}

static void test_bad(void)
{
	expect_bad("", "'': expected go [cid=N] [text=TEXT]");
	expect_bad("stop", "'stop': expected go");
	expect_bad("go ", "expected go");
	expect_bad(" go", "expected go");
	expect_bad("go\r", "expected go");
	expect_bad("gotext=x", "expected go");
	expect_bad("text=x", "expected go");
	expect_bad("go  cid=3", "expected go");
	expect_bad("go mac=02:00:00:00:00:01", "'go mac=02:00:00:00:00:01': expected go");
	expect_bad("go cid=", "cid=: expected 3 to 4294967294");
	expect_bad("go cid=2", "cid=2: expected 3 to 4294967294");
	expect_bad("go cid=4294967295", "cid=4294967295: expected 3");
	expect_bad("go cid=3 ", "cid=3 : expected");
	expect_bad("go cid=3 cid=4", "cid=3 cid=4: expected");
	expect_bad("go cid=-3 text=x", "cid=-3: expected");
}

/* Too long to be read whole, or with a zero in it. */
static void test_cut(void)
{
	CHECK(parse_read("go cid=3\ngo text=next"));
	CHECK_EQ(order.guest_cid, 3);
	CHECK_STRING(order.text, "");
	CHECK(!parse_read("go"));
	CHECK_HAS(error.text, "'go': expected go [cid=N] [text=TEXT]");
	CHECK(!parse_read("go cid=3"));
	CHECK(!parse_read("go text=x"));
}

static void test_longest(void)
{
	char line[START_ORDER_BYTES * 2] = "go text=";
	size_t start = strlen(line);

	memset(line + start, 'x', IDENTITY_TEXT_BYTES - 1);
	CHECK(parse(line));
	CHECK_EQ(strlen(order.text), IDENTITY_TEXT_BYTES - 1);
	memset(line + start, 'x', IDENTITY_TEXT_BYTES);
	expect_bad(line, "text=: expected at most 255 bytes");
	/* The longest line that may be read has room for both. */
	CHECK(strlen("go cid=4294967294 text=") + IDENTITY_TEXT_BYTES < START_ORDER_BYTES);
}

static void test_any(void)
{
	static const char *const pieces[] = { "go", " ",  "cid=", "text=", "7",
					      "=",  "\n", "\x80", "x" };
	uint64_t seed = 1;

	for (unsigned i = 0; i < 300000; i++) {
		char line[START_ORDER_BYTES * 2] = "";
		for (unsigned n = 0; n < 8; n++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			strcat(line, pieces[(seed >> 33) % (sizeof(pieces) / sizeof(pieces[0]))]);
		}
		parse_read(line);
	}
}

int main(void)
{
	RUN(test_good);
	RUN(test_bad);
	RUN(test_cut);
	RUN(test_longest);
	RUN(test_any);
	return 0;
}
