/* SPDX-License-Identifier: MIT */
#include "host/signal_events.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "host/container_of.h"
#include "host/fail.h"
#include "host/lifeline.h"
#include "host/message.h"
#include "host/signals.h"

void signal_events_end(struct signal_events *events, int number)
{
	events->received = true;
	exit_request_post(events->exit, EXIT_SIGNAL_BASE + number);
}

static void grace_is_over(struct ring_op *op, int32_t result)
{
	struct signal_events *events = container_of(op, struct signal_events, grace_op);

	(void)result; /* ETIME */
	signal_events_end(events, events->grace_number);
}

void signal_events_give_grace(struct signal_events *events, int number)
{
	struct io_uring_sqe *sqe;

	if (events->grace_s == 0 || events->grace_runs)
		return;
	events->grace_runs = true;
	events->grace_number = number;
	events->grace.tv_sec = events->grace_s;
	sqe = ring_prepare(events->ring);
	io_uring_prep_timeout(sqe, &events->grace, 0, 0);
	ring_commit(sqe, &events->grace_op);
}

static void ask_to_end(struct signal_events *events, int number)
{
	if (events->grace_runs)
		return;
	if (events->grace_s > 0 && events->ask_guest(events->context))
		signal_events_give_grace(events, number);
	else
		signal_events_end(events, number);
}

static void fail_to_hear(struct signal_events *events, const char *what, int error)
{
	if (exit_request_post(events->exit, EXIT_MONITOR_FAILED))
		warn("%s: %s", what, strerror(error));
}

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
		if (events->has_heard)
			signal_events_end(events, number);
		else
			ask_to_end(events, number);
		events->has_heard = true;
	}
}

static void hear_next(struct signal_events *events)
{
	struct io_uring_sqe *sqe = ring_prepare(events->ring);

	io_uring_prep_read(sqe, events->fd, &events->info, sizeof(events->info), 0);
	ring_commit(sqe, &events->op);
}

static void signal_arrived(struct ring_op *op, int32_t result)
{
	struct signal_events *events = (struct signal_events *)op;

	if (result < 0 && result != -EINTR && result != -EAGAIN) {
		fail_to_hear(events, "signalfd", -result);
		return;
	}
	if (result == (int32_t)sizeof(events->info))
		handle(events, (int)events->info.ssi_signo);
	hear_next(events);
}

static void lifeline_ended(struct ring_op *op, int32_t result)
{
	struct signal_events *events = container_of(op, struct signal_events, lifeline_op);

	if (result < 0)
		fail_to_hear(events, "--lifeline-fd", -result);
	else
		ask_to_end(events, SIGTERM);
}

void signal_events_open(struct signal_events *events, struct ring *ring, struct exit_request *exit,
			unsigned grace_s)
{
	sigset_t heard = signals_admitted();

	*events = (struct signal_events){
		.op.done = signal_arrived,
		.lifeline_op.done = lifeline_ended,
		.grace_op.done = grace_is_over,
		.ring = ring,
		.exit = exit,
		.grace_s = grace_s,
	};
	sigaddset(&heard, SIGCONT);
	events->fd = signalfd(-1, &heard, SFD_CLOEXEC);
	if (events->fd < 0)
		fail_errno(EXIT_HOST_REFUSED, "signalfd");
}

void signal_events_start(struct signal_events *events)
{
	hear_next(events);
	if (lifeline_fd() < 0)
		return;
	struct io_uring_sqe *sqe = ring_prepare(events->ring);
	io_uring_prep_poll_add(sqe, lifeline_fd(), LIFELINE_EVENTS);
	ring_commit(sqe, &events->lifeline_op);
}

void signal_events_close(struct signal_events *events)
{
	close(events->fd);
}
