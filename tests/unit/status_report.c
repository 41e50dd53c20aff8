/* The line of --status-fd: always whole, always JSON, whatever the message. */
#include "host/status_report.h"
#include "tests/unit/check.h"

static void expect(int exit_code, const char *message, const char *expected)
{
	char line[STATUS_REPORT_BYTES];
	unsigned length = status_report_format(line, exit_code, message);

	CHECK_EQ(length, strlen(expected));
	CHECK_BYTES(line, expected, length);
}

static void test_reasons(void)
{
	expect(0, NULL, "{\"exit_code\":0,\"reason\":\"guest_ended\"}\n");
	expect(1, NULL, "{\"exit_code\":1,\"reason\":\"monitor_failed\"}\n");
	expect(3, "no KVM",
	       "{\"exit_code\":3,\"reason\":\"host_refused\",\"message\":\"no KVM\"}\n");
	expect(4, NULL, "{\"exit_code\":4,\"reason\":\"triple_fault\"}\n");
	expect(5, NULL, "{\"exit_code\":5,\"reason\":\"kvm_error\"}\n");
	expect(128 + 15, NULL, "{\"exit_code\":143,\"reason\":\"signal\"}\n");
}

static void test_escapes(void)
{
	expect(2, "a \"b\" \\ \n\x1f\x7f\xc3\xa4",
	       "{\"exit_code\":2,\"reason\":\"bad_input\","
	       "\"message\":\"a \\\"b\\\" \\\\ \\u000a\\u001f\x7f\xc3\xa4\"}\n");
}

/* Of every length, and of the bytes that take the most room. */
static void test_long_messages(void)
{
	char message[2 * STATUS_REPORT_BYTES], line[STATUS_REPORT_BYTES];

	for (size_t length = 0; length < sizeof(message); length++) {
		for (int byte = 1; byte < 'a'; byte += 'a' - 2) {
			memset(message, byte, length);
			message[length] = '\0';
			unsigned used = status_report_format(line, 2, message);
			CHECK(used < sizeof(line));
			CHECK_BYTES(line + used - 3, "\"}\n", 3);
		}
	}
}

int main(void)
{
	RUN(test_reasons);
	RUN(test_escapes);
	RUN(test_long_messages);
	return 0;
}
