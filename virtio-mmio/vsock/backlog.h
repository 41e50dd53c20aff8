/*
 * The guest's connections to host programs that do not accept as fast as the guest asks. Those that find a
 * listener's backlog full wait in a line, each for a bounded time. The first tries again after a pause, the others when
 * it is through: nothing tells when there is room.
 */
#ifndef VIRTIO_MMIO_VSOCK_BACKLOG_H
#define VIRTIO_MMIO_VSOCK_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio-mmio/vsock/list.h"

/* One that waits for a listener. */
struct vsock_waiter {
	struct vsock_link waiting; /* among the first ones, or behind the first one of its line */
	struct vsock_link behind;  /* the others of its line, if this is the first */
	uint32_t port;
	unsigned pause_ms; /* before its next try, if this is the first */
	int64_t end_ms;    /* of its waiting, CLOCK_MONOTONIC; 0: it has not waited yet */
};

enum vsock_backlog_wait {
	VSOCK_BACKLOG_STAND, /* behind the first one, which will bring it on */
	VSOCK_BACKLOG_PAUSE, /* it is the first: tries again after pause_ms */
	VSOCK_BACKLOG_LATE,  /* its time is over */
};

/* firsts: the list of the first ones of all lines. Whether others wait for the same listener: then it waits behind
 * them. */
bool vsock_backlog_join(struct vsock_link *firsts, struct vsock_waiter *waiter, uint32_t port);

/* A try has found the backlog full. */
enum vsock_backlog_wait vsock_backlog_wait(struct vsock_link *firsts, struct vsock_waiter *waiter);

/* It does not wait any more. Returns the next one of its line, which tries now; NULL: it was not the first, or alone. */
struct vsock_waiter *vsock_backlog_leave(struct vsock_link *firsts, struct vsock_waiter *waiter);

/* Dissolves all lines: nobody brings anybody on. */
void vsock_backlog_dissolve(struct vsock_link *firsts);

#endif
