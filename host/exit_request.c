/* SPDX-License-Identifier: MIT */
#include "host/exit_request.h"

#include <stdatomic.h>

static void end_wait(struct event *event)
{
	(void)event; /* that it has happened is enough */
}

void exit_request_open(struct exit_request *request, struct ring *ring)
{
	atomic_init(&request->status, EXIT_REQUEST_NONE);
	event_open(&request->posted, ring, "the exit request's", end_wait);
}

void exit_request_start(struct exit_request *request)
{
	event_start(&request->posted);
}

bool exit_request_post(struct exit_request *request, int status)
{
	int none = EXIT_REQUEST_NONE;

	if (!atomic_compare_exchange_strong(&request->status, &none, status))
		return false;
	event_signal(request->posted.fd);
	return true;
}

int exit_request_status(const struct exit_request *request)
{
	return atomic_load(&request->status);
}
