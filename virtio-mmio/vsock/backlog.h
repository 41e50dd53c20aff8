/* SPDX-License-Identifier: MIT */
/*
 * Lines before the host's listeners. A connection that finds a listener's backlog full waits there, for a bounded time. The
 * first in line tries again after a pause, because nothing tells when there is room; the others follow when it is through.
 */
#ifndef VIRTIO_MMIO_VSOCK_BACKLOG_H
#define VIRTIO_MMIO_VSOCK_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio-mmio/vsock/list.h"

/* One that waits for a listener. */
struct vsock_waiter {
	struct vsock_link
		waiting;          /* among the first of all lines, or behind the first of its own */
	struct vsock_link behind; /* the others of its line, if this is the first */
	uint32_t port;
	unsigned pause_ms; /* before its next try, if this is the first */
	int64_t end_ms;    /* of its waiting, CLOCK_MONOTONIC; 0: it has not waited yet */
};

enum vsock_backlog_wait {
	VSOCK_BACKLOG_STAND, /* behind the first, which brings it on */
	VSOCK_BACKLOG_PAUSE, /* it is the first: tries again after pause_ms */
	VSOCK_BACKLOG_LATE,  /* its time is over */
};

/* firsts: the first of each line. True: others wait for the same listener, and now it waits behind them. */
bool vsock_backlog_join(struct vsock_link *firsts, struct vsock_waiter *waiter, uint32_t port);

/* A try has found the backlog full. */
enum vsock_backlog_wait vsock_backlog_wait(struct vsock_link *firsts, struct vsock_waiter *waiter);

/* It waits no more. Returns the next in its line, which tries now; NULL: it was not the first, or it was alone. */
struct vsock_waiter *vsock_backlog_leave(struct vsock_link *firsts, struct vsock_waiter *waiter);

/* Dissolves all lines: nobody brings anybody on. */
void vsock_backlog_dissolve(struct vsock_link *firsts);

#endif
