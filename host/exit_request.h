/* SPDX-License-Identifier: MIT */
/* The one way in which a running VM ends: whoever sees a reason first posts it; the event loop and
 * the vCPUs stop because of it. */
#ifndef HOST_EXIT_REQUEST_H
#define HOST_EXIT_REQUEST_H

#include <stdbool.h>

#include "host/event.h"

struct exit_request {
	_Atomic int status; /* an exit status, or EXIT_REQUEST_NONE */
	struct event posted;
};

#define EXIT_REQUEST_NONE (-1)

/* A post ends the wait on `ring`. Before ring_start(). Does not return on failure (exit 122). */
void exit_request_open(struct exit_request *request, struct ring *ring);

/* Starts listening: after ring_start(). */
void exit_request_start(struct exit_request *request);

/* Ends the VM with `status`, a value of enum exit_code or on its bases. Only the first post counts; returns whether
 * this was it. Any thread. */
bool exit_request_post(struct exit_request *request, int status);

/* The posted status, or EXIT_REQUEST_NONE. Any thread. */
int exit_request_status(const struct exit_request *request);

#endif
