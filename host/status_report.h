/* SPDX-License-Identifier: MIT */
/* The launcher's report, before the process has ended: one line of JSON on an inherited descriptor.
 * docs/launcher.md documents its fields. */
#ifndef HOST_STATUS_REPORT_H
#define HOST_STATUS_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "host/error.h"

/* The report goes to `fd`. False, and why in *error: it is not open, or not for writing. */
bool status_report_open(int fd, struct error_text *error);

/* Writes {"exit_code":N,"reason":"..."} with the reason's name, "lost_output_bytes" unless it is 0, and "message"
 * unless that is NULL, and closes the descriptor. No effect without one, or the second time. A reader that is
 * stalled for 100 ms loses the line; that, like any other failure to write it, is reported on stderr. */
void status_report_send(int exit_code, uint64_t lost_output_bytes, const char *message);

/* The line itself, with its newline: valid JSON whatever bytes the message has; one that is too long (none of fail()
 * is) ends early. Returns its length. */
#define STATUS_REPORT_BYTES 4096 /* as much as a pipe takes at once */
unsigned status_report_format(char line[STATUS_REPORT_BYTES], int exit_code,
			      uint64_t lost_output_bytes, const char *message);

#endif
