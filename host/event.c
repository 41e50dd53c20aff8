/* SPDX-License-Identifier: MIT */
#include "host/event.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/fail.h"
#include "host/message.h"

static void signal_arrived(struct ring_op *op, int32_t result)
{
	struct event *event = (struct event *)op;

	if (result < 0 && result != -EINTR && result != -EAGAIN) {
		warn("%s eventfd: %s; nothing is heard from it any more", event->name,
		     strerror(-result));
		return;
	}
	/* Listen again first: a signal during happened() is not lost. */
	event_start(event);
	if (result > 0)
		event->happened(event);
}

void event_open(struct event *event, struct ring *ring, const char *name, event_fn *happened)
{
	*event = (struct event){
		.op.done = signal_arrived,
		.ring = ring,
		.name = name,
		.happened = happened,
		.fd = eventfd(0, EFD_CLOEXEC),
	};
	if (event->fd < 0)
		fail_errno(EXIT_HOST_REFUSED, "%s eventfd", name);
}

void event_start(struct event *event)
{
	struct io_uring_sqe *sqe = ring_prepare(event->ring);

	io_uring_prep_read(sqe, event->fd, &event->count, sizeof(event->count), 0);
	ring_commit(sqe, &event->op);
}

void event_signal(int fd)
{
	uint64_t one = 1;

	/* Fails only where 2^64 - 2 signals wait. */
	ssize_t ignored = write(fd, &one, sizeof(one));
	(void)ignored;
}

void event_close(struct event *event)
{
	close(event->fd);
	event->fd = -1;
}
