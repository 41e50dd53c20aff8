/* SPDX-License-Identifier: MIT */
/* The launcher's reports of the end, before the process has ended: a line of JSON on an inherited descriptor, and the last
 * of the events (host/event_line.h). docs/launcher.md documents their fields. */
#ifndef HOST_STATUS_REPORT_H
#define HOST_STATUS_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "host/counters.h"
#include "host/error.h"
#include "host/json.h"

struct vm_end {
	int exit_code;              /* a value of enum exit_code or on its bases */
	uint64_t lost_output_bytes; /* 0 is not told */
	const char *message;        /* why the guest never started; NULL: it did */
	const char *option, *value; /* and what that is about; NULL: not known */
	int os_error;               /* and the host's error; 0: none */
};

/* The line goes to `fd`. False, and why in *error: it is not open, or not for writing. */
bool status_report_open(int fd, struct error_text *error);

/* Whether `fd` is that one. */
bool status_report_has(int fd);

/* Writes the event `exit`, with the counters unless that is NULL, and the line, {"exit_code":N,"reason":"..."} with the
 * reason's name and what *end has besides (its value last: that may be cut), and closes both descriptors. No effect without them, or the second time. A
 * reader that is stalled for 100 ms loses the line; that, like any other failure to write it, is reported on stderr. */
void status_report_send(const struct vm_end *end, const struct counters *counters);

/* The line itself, with its newline. Returns its length. */
unsigned status_report_format(char line[JSON_LINE_BYTES], const struct vm_end *end);

#endif
