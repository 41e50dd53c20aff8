/* SPDX-License-Identifier: MIT */
/* An eventfd on the ring: any thread, or KVM, wakes the event loop with it. */
#ifndef HOST_EVENT_H
#define HOST_EVENT_H

#include <stdint.h>

#include "host/ring.h"

struct event;

/* On the ring's thread, once for any number of signals since the last. */
typedef void event_fn(struct event *event);

struct event {
	struct ring_op op; /* first: the callback finds the event by it */
	struct ring *ring;
	const char *name; /* for messages: "the console's" */
	event_fn *happened;
	int fd;
	uint64_t count; /* unused: signals do not add up */
};

/* Before ring_start(). Does not return on failure (exit 122). */
void event_open(struct event *event, struct ring *ring, const char *name, event_fn *happened);

/* Starts listening: after ring_start(). */
void event_start(struct event *event);

/* Any thread. `fd` is an event's. Never waits. */
void event_signal(int fd);

void event_close(struct event *event);

#endif
