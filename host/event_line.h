/* SPDX-License-Identifier: MIT */
/*
 * Events for the launcher: lines of JSON on an inherited descriptor. docs/launcher.md documents them.
 *
 * Any thread writes them, one at a time, each by one write(2), without an allocation. A reader that takes nothing is waited
 * for, but for 100 ms only: then the line is lost, and so is every further one, without a wait, until the reader takes one
 * again. The last line is worth another 100 ms. A line that was cut in its middle (by a full disk, or a socket) is the last.
 */
#ifndef HOST_EVENT_LINE_H
#define HOST_EVENT_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/error.h"
#include "host/json.h"

/* Once, with one thread. Events tell the time since exec_ns, of CLOCK_MONOTONIC. False, and why in *error: `fd` is not
 * open, or not for writing. */
bool event_line_open(int fd, int64_t exec_ns, struct error_text *error);

/* Begins the line of an event. NULL: nobody listens. Otherwise members are added, and one of the two below ends it; until
 * then the events of other threads wait. */
struct json *event_line_begin(const char *name);
void event_line_send(void);
/* No event follows; the descriptor is closed. */
void event_line_send_last(void);

/* An event without further members. */
void event_line_emit(const char *name);

/* How many lines were lost. */
uint64_t event_line_lost(void);

#endif
