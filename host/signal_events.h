/* SPDX-License-Identifier: MIT */
/*
 * Signals as bytes on the ring, and the end of the lifeline, which is one more SIGTERM: while the guest runs.
 *
 * With a grace time the first of them only asks the guest to end. The second signal, or the end of the time, ends the VM.
 */
#ifndef HOST_SIGNAL_EVENTS_H
#define HOST_SIGNAL_EVENTS_H

#include <stdbool.h>

#include <sys/signalfd.h>

#include "host/exit_request.h"
#include "host/ring.h"

struct signal_events {
	struct ring_op op, lifeline_op, grace_op;
	struct ring *ring;
	struct exit_request *exit;
	int fd;
	bool received;    /* one that ends has come: slow waits are cut short */
	unsigned grace_s; /* 0: none */
	bool has_heard, grace_runs;
	int grace_number; /* of the signal whose time runs */
	struct __kernel_timespec grace;
	bool (*ask_guest)(void *context);      /* to end; false: it does not listen */
	void (*before_stop)(void *context);    /* SIGTSTP */
	void (*after_continue)(void *context); /* SIGCONT */
	void *context;
	struct signalfd_siginfo info;
};

/* After signals_block(), before ring_start(). Does not return on failure (exit 122). */
void signal_events_open(struct signal_events *events, struct ring *ring, struct exit_request *exit,
			unsigned grace_s);

/* Starts listening: after ring_start(). */
void signal_events_start(struct signal_events *events);

/* On the ring's thread. Ends the VM now, as signal `number` does without a grace time. */
void signal_events_end(struct signal_events *events, int number);

/* The guest has been asked: ends the VM when the grace time is over, if there is one. No effect while it runs. */
void signal_events_give_grace(struct signal_events *events, int number);

void signal_events_close(struct signal_events *events);

#endif
