/* SPDX-License-Identifier: MIT */
/* Lines of JSON: always whole, always valid, whatever their texts and however many. */
#include "host/json.h"

#include <locale.h>

#include "host/counters.h"
#include "tests/unit/json_check.h"

static void expect(struct json *json, const char *expected)
{
	CHECK_EQ(json_end(json), strlen(expected));
	CHECK_STRING(json->text, expected);
	CHECK(json_is_line(expected, strlen(expected)));
}

static void test_members(void)
{
	char line[JSON_LINE_BYTES];
	struct json json;

	json_begin(&json, line);
	expect(&json, "{}\n");
	json_begin(&json, line);
	json_open(&json, "a", '[');
	json_close(&json, ']');
	json_open(&json, "b", '{');
	json_add_number(&json, "c", UINT64_MAX);
	json_add_text(&json, "d", NULL);
	json_add_text(&json, "e", "");
	json_close(&json, '}');
	json_open(&json, "f", '[');
	json_add_number(&json, NULL, 0);
	json_open(&json, NULL, '{');
	json_close(&json, '}');
	json_add_text(&json, NULL, "g");
	json_close(&json, ']');
	json_add_text(&json, "h", "i");
	expect(&json, "{\"a\":[],\"b\":{\"c\":18446744073709551615,\"e\":\"\"},\"f\":[0,{},\"g\"],"
		      "\"h\":\"i\"}\n");
}

/* The judge knows what is wrong. */
static void test_judge(void)
{
	static const char *const wrong[] = {
		"",
		"{}",
		"{}\n\n",
		"{\"a\":1,}\n",
		"{\"a\" 1}\n",
		"{\"a\":01}\n",
		"{\"a\":}\n",
		"{\"a\":[1}\n",
		"{\"a\":\"\x80\"}\n",
		"{\"a\":\"\xe2\x82\"}\n",
		"{\"a\":\"\n\"}\n",
		"{\"a\":\"\\x\"}\n",
		"{\"a\":\"\\u12g4\"}\n",
		"{\"a\":\"",
		"[]\n",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CHECK(!json_is_line(wrong[i], strlen(wrong[i])));
}

/* Texts of every byte, of every length, at every depth, and what follows them. */
static void test_no_room(void)
{
	static const char *const units[] = { "a",    "\"",       "\x01",
					     "\x80", "\xc3\xa4", "\xf0\x9f\x98\x80" };
	static char text[JSON_LINE_BYTES + 64];
	char line[JSON_LINE_BYTES];

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t step = strlen(units[i]);
		memset(text, 0, sizeof(text));
		for (size_t n = 0; n + step < sizeof(text); n += step) {
			struct json json;
			memcpy(text + n, units[i], step);
			json_begin(&json, line);
			json_open(&json, "a", '[');
			json_open(&json, NULL, '{');
			json_add_text(&json, "b", text);
			json_open(&json, "c", '{');
			json_add_number(&json, "d", n);
			json_close(&json, '}');
			json_close(&json, '}');
			json_close(&json, ']');
			json_add_text(&json, "e", "f");
			unsigned length = json_end(&json);
			CHECK(length < JSON_LINE_BYTES);
			CHECK(json_is_line(line, length));
			if (json.full)
				CHECK(length > JSON_LINE_BYTES - 32);
		}
	}
}

static void test_random_bytes(void)
{
	char text[64], line[JSON_LINE_BYTES];

	srand(1);
	for (int i = 0; i < 20000; i++) {
		struct json json;
		size_t n = (size_t)rand() % sizeof(text);
		for (size_t j = 0; j < n; j++)
			text[j] = (char)(rand() % 3 ? 0x80 + rand() % 0x80 : rand());
		text[n] = '\0';
		json_begin(&json, line);
		json_add_text(&json, "a", text);
		CHECK(json_is_line(line, json_end(&json)));
	}
}

/* The longest line that there is, is not cut: `exit` of all devices, each number as large as it gets. */
static void test_largest_counters(void)
{
	char line[JSON_LINE_BYTES];
	struct counters counters;
	struct json json;

	memset(&counters, 0xff, sizeof(counters));
	counters.n_devices = COUNTERS_MAX_DEVICES;
	for (unsigned i = 0; i < COUNTERS_MAX_DEVICES; i++) {
		counters.devices[i].kind = "disk";
		counters.devices[i].index = 10 + i;
	}
	json_begin(&json, line);
	json_add_text(&json, "event", "exit");
	json_add_number(&json, "time_us", UINT64_MAX);
	json_add_number(&json, "exit_code", 255);
	json_add_text(&json, "reason", "guest_panicked");
	json_add_number(&json, "lost_output_bytes", UINT64_MAX);
	counters_add_to(&counters, &json);
	CHECK(!json.full);
	CHECK(json_is_line(line, json_end(&json)));
}

int main(void)
{
	CHECK(setlocale(LC_CTYPE, "C.UTF-8") != NULL);
	RUN(test_members);
	RUN(test_judge);
	RUN(test_no_room);
	RUN(test_random_bytes);
	RUN(test_largest_counters);
	return 0;
}
