/* How a launcher learns the guest's result before the process has ended: one line of JSON on a descriptor that it
 * has passed on. README.md tells of its fields. */
#ifndef HOST_STATUS_REPORT_H
#define HOST_STATUS_REPORT_H

#include <stdbool.h>

#include "host/fail.h"

/* The report goes to `fd`. False, and why in *error: it is not open, or not for writing. */
bool status_report_open(int fd, struct error_text *error);

/* Writes {"exit_code":N,"reason":"..."} with the reason's name, and "message" unless it is NULL, and closes the
 * descriptor. No effect without one, or the second time. A reader that stands still for 100 ms goes without. */
void status_report_send(int exit_code, const char *message);

/* The line itself, with its newline; a message is cut so that it fits. Returns its length. */
#define STATUS_REPORT_BYTES 1024
unsigned status_report_format(char line[STATUS_REPORT_BYTES], int exit_code, const char *message);

#endif
