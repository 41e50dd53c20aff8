/* SPDX-License-Identifier: MIT */
/*
 * How a host program's connection comes about: it is accepted, says "CONNECT <port>\n", and then its descriptor and
 * the port become a connection.
 */
#ifndef VIRTIO_MMIO_VSOCK_LISTEN_H
#define VIRTIO_MMIO_VSOCK_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "host/listen_socket.h"
#include "virtio-mmio/virtio_device.h"
#include "virtio-mmio/vsock/connection.h"
#include "virtio-mmio/vsock/list.h"
#include "virtio-mmio/vsock/socket.h"

#define VSOCK_GREETING_BYTES 32u

/* A host program that has not said its line yet. */
struct vsock_greeting {
	struct vsock_listener *listener;
	struct vsock_socket socket;
	struct vsock_link link;         /* in the listener's list */
	struct vsock_connection *place; /* kept for it; NULL: this greeting is free */
	int64_t end_ms;                 /* its deadline, CLOCK_MONOTONIC */
	unsigned length;                /* of the line so far */
	unsigned seen;                  /* bytes to take now; 0: peek first */
	unsigned in_vain;               /* reads since the last that found something */
	bool over;                      /* waits for operations under way */
	char line[VSOCK_GREETING_BYTES];
};

struct vsock_listener {
	struct virtio_device *device;
	struct vsock_connections *all;
	const struct listen_socket *socket;
	struct ring_op accept_op, pause_op, timer_op;
	struct vsock_connection *place; /* kept for the next program; NULL: no accept */
	bool paused;                    /* the host is short of something */
	bool given_up;                  /* the socket accepts no more */
	bool timer_runs;
	struct __kernel_timespec timer_end;
	struct vsock_link greetings; /* the oldest first */
	uint32_t next_host_port;
	struct vsock_greeting pool[VSOCK_MAX_CONNECTIONS]; /* one for each place */
};

/* socket: with fd -1 nobody connects. */
void vsock_listener_init(struct vsock_listener *listener, struct virtio_device *device,
			 struct vsock_connections *all, const struct listen_socket *socket);

/* Whether an accept can be started. */
static inline bool vsock_listener_has_work(const struct vsock_listener *listener)
{
	return listener->place == NULL && listener->socket->fd >= 0 && !listener->paused &&
	       !listener->given_up;
}

/* Accepts the next host program if there is a place; without one, programs wait in the socket's backlog. After ring_start(),
 * and while no connection is being worked on. */
void vsock_listener_accept(struct vsock_listener *listener);

#endif
