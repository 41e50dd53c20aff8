/* SPDX-License-Identifier: MIT */
#include "host/status_report.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host/errno_name.h"
#include "host/event_line.h"
#include "host/message.h"
#include "host/write_within.h"

static int report_fd = -1;

bool status_report_open(int fd, struct error_text *error)
{
	if (!write_within_adopt(fd, error))
		return false;
	report_fd = fd;
	return true;
}

bool status_report_has(int fd)
{
	return fd == report_fd;
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

static void add_end(struct json *json, const struct vm_end *end)
{
	json_add_number(json, "exit_code", (uint64_t)exit_status_of(end->exit_code));
	json_add_text(json, "reason", reason_name(end->exit_code));
	if (end->lost_output_bytes > 0)
		json_add_number(json, "lost_output_bytes", end->lost_output_bytes);
	json_add_text(json, "message", end->message);
	json_add_text(json, "option", end->option);
	json_add_text(json, "errno", errno_name(end->os_error));
	json_add_text(json, "value", end->value);
}

unsigned status_report_format(char line[JSON_LINE_BYTES], const struct vm_end *end)
{
	struct json json;

	json_begin(&json, line);
	add_end(&json, end);
	return json_end(&json);
}

static void send_line(const struct vm_end *end)
{
	char line[JSON_LINE_BYTES];
	int fd = report_fd;

	if (fd < 0)
		return;
	report_fd = -1;
	unsigned length = status_report_format(line, end);
	if (write_within(fd, line, length, false, READER_WAIT_MS) < length)
		warn("--status-fd %d: the status is not written: %s", fd, strerror(errno));
	close(fd);
}

static void send_event(const struct vm_end *end, const struct counters *counters)
{
	struct json *json = event_line_begin("exit");

	if (json == NULL)
		return;
	add_end(json, end);
	if (counters != NULL)
		counters_add_to(counters, json);
	event_line_send_last();
}

void status_report_send(const struct vm_end *end, const struct counters *counters)
{
	send_event(end, counters);
	send_line(end);
}
