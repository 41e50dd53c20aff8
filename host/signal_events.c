/* SPDX-License-Identifier: MIT */
#include "host/signal_events.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host/fail.h"
#include "host/message.h"
#include "host/signals.h"

static void handle(struct signal_events *events, int number)
{
	if (number != SIGCONT && signals_are_ignored(number))
		return;
	switch (number) {
	case SIGTSTP:
		events->before_stop(events->context);
		signals_stop();
		events->after_continue(events->context);
		break;
	case SIGCONT:
		events->after_continue(events->context);
		break;
	default:
		events->received = true;
		exit_request_post(events->exit, EXIT_SIGNAL_BASE + number);
	}
}

static void signal_arrived(struct ring_op *op, int32_t result)
{
	struct signal_events *events = (struct signal_events *)op;

	if (result < 0 && result != -EINTR && result != -EAGAIN) {
		warn("signalfd: %s", strerror(-result));
		exit_request_post(events->exit, EXIT_MONITOR_FAILED);
		return;
	}
	if (result == (int32_t)sizeof(events->info))
		handle(events, (int)events->info.ssi_signo);
	signal_events_start(events);
}

void signal_events_open(struct signal_events *events, struct ring *ring, struct exit_request *exit)
{
	sigset_t heard = signals_admitted();

	*events = (struct signal_events){ .op.done = signal_arrived, .ring = ring, .exit = exit };
	sigaddset(&heard, SIGCONT);
	events->fd = signalfd(-1, &heard, SFD_CLOEXEC);
	if (events->fd < 0)
		fail_errno(EXIT_HOST_REFUSED, "signalfd");
}

void signal_events_start(struct signal_events *events)
{
	struct io_uring_sqe *sqe = ring_prepare(events->ring);

	io_uring_prep_read(sqe, events->fd, &events->info, sizeof(events->info), 0);
	ring_commit(sqe, &events->op);
}

void signal_events_close(struct signal_events *events)
{
	close(events->fd);
}
