/* SPDX-License-Identifier: MIT */
/* The line of --status-fd: always whole, always JSON, whatever the message. */
#include "host/status_report.h"

#include <locale.h>

#include "tests/unit/json_check.h"

static unsigned format(char *line, int exit_code, const char *message)
{
	const struct vm_end end = { .exit_code = exit_code, .message = message };

	return status_report_format(line, &end);
}

static void expect(int exit_code, const char *message, const char *expected)
{
	char line[JSON_LINE_BYTES];
	unsigned length = format(line, exit_code, message);

	CHECK_EQ(length, strlen(expected));
	CHECK_BYTES(line, expected, length);
}

static void test_reasons(void)
{
	expect(0, NULL, "{\"exit_code\":0,\"reason\":\"guest_ended\"}\n");
	expect(120, NULL, "{\"exit_code\":120,\"reason\":\"monitor_failed\"}\n");
	expect(122, "no KVM",
	       "{\"exit_code\":122,\"reason\":\"host_refused\",\"message\":\"no KVM\"}\n");
	expect(123, NULL, "{\"exit_code\":123,\"reason\":\"triple_fault\"}\n");
	expect(125, NULL, "{\"exit_code\":125,\"reason\":\"kvm_error\"}\n");
	expect(128 + 15, NULL, "{\"exit_code\":143,\"reason\":\"signal\"}\n");
}

static void test_lost_output(void)
{
	static const char expected[] =
		"{\"exit_code\":0,\"reason\":\"guest_ended\",\"lost_output_bytes\":17179869184}\n";
	char line[JSON_LINE_BYTES];

	const struct vm_end end = { .lost_output_bytes = (uint64_t)1 << 34 };
	CHECK_EQ(status_report_format(line, &end), sizeof(expected) - 1);
	CHECK_BYTES(line, expected, sizeof(expected) - 1);
}

static void test_escapes(void)
{
	expect(121, "a \"b\" \\ \n\x1f\x7f\xc3\xa4",
	       "{\"exit_code\":121,\"reason\":\"bad_input\","
	       "\"message\":\"a \\\"b\\\" \\\\ \\u000a\\u001f\x7f\xc3\xa4\"}\n");
}

/* Bytes that are no UTF-8 become U+FFFD. */
static void test_not_utf8(void)
{
	static const struct {
		const char *message, *expected;
	} cases[] = {
		{ "\x80", "?" },
		{ "a\xff\xfe", "a??" },
		{ "\xc3", "?" },
		{ "\xc3(", "?(" },
		{ "\xc0\xaf", "??" },           /* an overlong '/' */
		{ "\xe0\x80\xaf", "???" },      /* another */
		{ "\xf0\x8f\x80\x80", "????" }, /* another */
		{ "\xed\xa0\x80", "???" },      /* a surrogate */
		{ "\xf4\x90\x80\x80", "????" }, /* above U+10FFFF */
		{ "\xf5\x80\x80\x80", "????" },
		{ "\xe2\x82", "?" },
		{ "\xe2\x82\xac", "\xe2\x82\xac" },
		{ "\xed\x9f\xbf\xee\x80\x80", "\xed\x9f\xbf\xee\x80\x80" },
		{ "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf" },
		{ "\xc2\x80\xdf\xbf\xe0\xa0\x80", "\xc2\x80\xdf\xbf\xe0\xa0\x80" },
		{ "\xf0\x9f\x98\xff", "??" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char expected[128];
		int used = sprintf(expected,
				   "{\"exit_code\":121,\"reason\":\"bad_input\",\"message\":\"");
		for (const char *at = cases[i].expected; *at != '\0'; at++)
			used += sprintf(expected + used, *at == '?' ? "\xef\xbf\xbd" : "%c", *at);
		sprintf(expected + used, "\"}\n");
		expect(121, cases[i].message, expected);
	}
}

/* What a failure is about, the value last: that is cut where there is no room. */
static void test_details(void)
{
	char line[JSON_LINE_BYTES], value[2 * JSON_LINE_BYTES];
	struct vm_end end = { .exit_code = 121,
			      .message = "m",
			      .option = "--disk",
			      .value = "a\xff",
			      .os_error = EACCES };
	static const char expected[] =
		"{\"exit_code\":121,\"reason\":\"bad_input\",\"message\":\"m\","
		"\"option\":\"--disk\",\"errno\":\"EACCES\",\"value\":\"a\xef\xbf\xbd\"}\n";

	CHECK_EQ(status_report_format(line, &end), sizeof(expected) - 1);
	CHECK_STRING(line, expected);
	for (size_t n = 0; n < sizeof(value); n++) {
		memset(value, '\x80', n);
		value[n] = '\0';
		end.value = value;
		unsigned length = status_report_format(line, &end);
		CHECK(json_is_line(line, length));
		CHECK_HAS(line, "\"errno\":\"EACCES\",\"value\":\"");
	}
}

/* A message that is too long ends between two characters. */
static void test_cut_between_characters(void)
{
	char message[JSON_LINE_BYTES + 64], line[JSON_LINE_BYTES];

	for (unsigned shift = 0; shift < 8; shift++) {
		unsigned used = shift;
		memset(message, 'a', shift);
		while (used + 4 < sizeof(message))
			memcpy(message + used, "\xf0\x9f\x98\x80", 4), used += 4;
		message[used] = '\0';
		used = format(line, 2, message);
		CHECK_BYTES(line + used - 7, "\xf0\x9f\x98\x80\"}\n", 7);
	}
}

/* Of every length, and of the bytes that take the most room. */
static void test_long_messages(void)
{
	char message[2 * JSON_LINE_BYTES], line[JSON_LINE_BYTES];

	for (size_t length = 0; length < sizeof(message); length++) {
		for (int byte = 1; byte < 'a'; byte += 'a' - 2) {
			memset(message, byte, length);
			message[length] = '\0';
			unsigned used = format(line, 2, message);
			CHECK(used < sizeof(line));
			CHECK_BYTES(line + used - 3, "\"}\n", 3);
		}
	}
}

int main(void)
{
	CHECK(setlocale(LC_CTYPE, "C.UTF-8") != NULL);
	RUN(test_reasons);
	RUN(test_lost_output);
	RUN(test_escapes);
	RUN(test_details);
	RUN(test_not_utf8);
	RUN(test_cut_between_characters);
	RUN(test_long_messages);
	return 0;
}
