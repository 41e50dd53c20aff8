#include "host/status_report.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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
	static const char *const names[] = {
		[EXIT_GUEST_ENDED] = "guest_ended",   [EXIT_MONITOR_FAILED] = "monitor_failed",
		[EXIT_BAD_INPUT] = "bad_input",       [EXIT_HOST_REFUSED] = "host_refused",
		[EXIT_TRIPLE_FAULT] = "triple_fault", [EXIT_KVM_ERROR] = "kvm_error",
	};

	return exit_code < (int)(sizeof(names) / sizeof(names[0])) ? names[exit_code] : "signal";
}

/* What stands between the quotes of a JSON string; bytes above ASCII pass as they are, as in the message on stderr. */
static unsigned add_escaped(char *line, unsigned used, unsigned limit, const char *text)
{
	for (; *text != '\0' && used + ESCAPED_BYTES <= limit; text++) {
		unsigned char byte = (unsigned char)*text;
		if (byte < 0x20) {
			used += (unsigned)sprintf(line + used, "\\u%04x", byte);
			continue;
		}
		if (byte == '"' || byte == '\\')
			line[used++] = '\\';
		line[used++] = (char)byte;
	}
	return used;
}

unsigned status_report_format(char line[STATUS_REPORT_BYTES], int exit_code, const char *message)
{
	static const char before[] = ",\"message\":\"", after[] = "\"", end[] = "}\n";
	unsigned used = (unsigned)sprintf(line, "{\"exit_code\":%d,\"reason\":\"%s\"", exit_code,
					  reason_name(exit_code));

	if (message != NULL) {
		used += (unsigned)sprintf(line + used, "%s", before);
		used = add_escaped(line, used, STATUS_REPORT_BYTES - sizeof(after) - sizeof(end),
				   message);
		used += (unsigned)sprintf(line + used, "%s", after);
	}
	return used + (unsigned)sprintf(line + used, "%s", end);
}

void status_report_send(int exit_code, const char *message)
{
	char line[STATUS_REPORT_BYTES];
	unsigned length = status_report_format(line, exit_code, message);
	struct pollfd ready = { .fd = report_fd, .events = POLLOUT };

	if (report_fd < 0)
		return;
	if (poll(&ready, 1, READER_WAIT_MS) > 0) {
		ssize_t ignored = write(report_fd, line, length);
		(void)ignored;
	}
	close(report_fd);
	report_fd = -1;
}
