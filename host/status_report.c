/* SPDX-License-Identifier: MIT */
#include "host/status_report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/message.h"
#include "host/write_within.h"

#define READER_WAIT_MS 100
#define ESCAPED_BYTES  6u /* \u001f */

static int report_fd = -1;

bool status_report_open(int fd, struct error_text *error)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return error_set_errno(error, "%s", strerror(errno));
	if ((flags & O_ACCMODE) == O_RDONLY)
		return error_set(error, "it is open for reading only");
	report_fd = fd;
	return true;
}

static const char *reason_name(int exit_code)
{
	switch (exit_code) {
	case EXIT_GUEST_ENDED:
		return "guest_ended";
	case EXIT_MONITOR_FAILED:
		return "monitor_failed";
	case EXIT_BAD_INPUT:
		return "bad_input";
	case EXIT_HOST_REFUSED:
		return "host_refused";
	case EXIT_TRIPLE_FAULT:
		return "triple_fault";
	case EXIT_KVM_ERROR:
		return "kvm_error";
	case EXIT_GUEST_PANICKED:
		return "guest_panicked";
	default:
		return exit_code >= EXIT_GUEST_STATUS ? "guest_ended" : "signal";
	}
}

/* Whether `text` begins with a character of UTF-8, in *bytes how many it has; otherwise how many are to be replaced by
 * one U+FFFD: those with which a character could have begun, or one. */
static bool is_character(const unsigned char *text, unsigned *bytes)
{
	unsigned char lead = text[0], low = 0x80, high = 0xbf;
	unsigned n = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

	*bytes = 1;
	if (n == 0 || lead > 0xf4)
		return false;
	if (lead == 0xe0)
		low = 0xa0; /* shorter ones exist */
	else if (lead == 0xed)
		high = 0x9f; /* surrogates */
	else if (lead == 0xf0)
		low = 0x90;
	else if (lead == 0xf4)
		high = 0x8f; /* above U+10FFFF */
	for (; *bytes < n; ++*bytes, low = 0x80, high = 0xbf)
		if (text[*bytes] < low || text[*bytes] > high)
			return false;
	return true;
}

/* The inside of a JSON string, in whole characters. */
static unsigned add_escaped(char *line, unsigned used, unsigned limit, const char *text)
{
	static const char not_utf8[] = "\xef\xbf\xbd"; /* U+FFFD */

	while (*text != '\0' && used + ESCAPED_BYTES <= limit) {
		unsigned char byte = (unsigned char)*text;
		unsigned n;
		if (!is_character((const unsigned char *)text, &n)) {
			used += (unsigned)sprintf(line + used, "%s", not_utf8);
		} else if (byte < 0x20) {
			used += (unsigned)sprintf(line + used, "\\u%04x", byte);
		} else {
			if (byte == '"' || byte == '\\')
				line[used++] = '\\';
			memcpy(line + used, text, n);
			used += n;
		}
		text += n;
	}
	return used;
}

unsigned status_report_format(char line[STATUS_REPORT_BYTES], int exit_code,
			      uint64_t lost_output_bytes, const char *message)
{
	static const char before[] = ",\"message\":\"", after[] = "\"", end[] = "}\n";
	unsigned used = (unsigned)sprintf(line, "{\"exit_code\":%d,\"reason\":\"%s\"",
					  exit_status_of(exit_code), reason_name(exit_code));

	if (lost_output_bytes > 0)
		used += (unsigned)sprintf(line + used, ",\"lost_output_bytes\":%llu",
					  (unsigned long long)lost_output_bytes);
	if (message != NULL) {
		used += (unsigned)sprintf(line + used, "%s", before);
		used = add_escaped(line, used, STATUS_REPORT_BYTES - sizeof(after) - sizeof(end),
				   message);
		used += (unsigned)sprintf(line + used, "%s", after);
	}
	return used + (unsigned)sprintf(line + used, "%s", end);
}

void status_report_send(int exit_code, uint64_t lost_output_bytes, const char *message)
{
	char line[STATUS_REPORT_BYTES];
	unsigned length = status_report_format(line, exit_code, lost_output_bytes, message);
	int fd = report_fd;

	if (fd < 0)
		return;
	report_fd = -1;
	if (!write_within(fd, line, length, false, READER_WAIT_MS))
		warn("--status-fd %d: the status is not written: %s", fd, strerror(errno));
	close(fd);
}
