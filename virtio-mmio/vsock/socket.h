/* SPDX-License-Identifier: MIT */
/*
 * A Unix socket on the ring; it knows no guest. An operation of each kind is under way at most once. All complete
 * in one function: with the lock held it calls the handler that the operation was started with, and has the
 * owner's task run after the batch.
 *
 * Whatever it asks for, a poll on the ring comes back when one direction has ended (POLLRDHUP). An epoll does not: it
 * takes over from there.
 */
#ifndef VIRTIO_MMIO_VSOCK_SOCKET_H
#define VIRTIO_MMIO_VSOCK_SOCKET_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "host/ring.h"

enum vsock_socket_kind {
	VSOCK_SOCKET_CONNECT, /* or the pause before the next try */
	VSOCK_SOCKET_POLL_IN,
	VSOCK_SOCKET_POLL_OUT,
	VSOCK_SOCKET_POLL_HANG_UP,
	VSOCK_SOCKET_READ,
	VSOCK_SOCKET_WRITE,
	VSOCK_SOCKET_END_INPUT,
	VSOCK_SOCKET_END_OUTPUT,
	VSOCK_SOCKET_END,
	VSOCK_SOCKET_KINDS
};

struct vsock_socket;

/* result: as of a ring operation. The lock is held. */
typedef void vsock_socket_done_fn(struct vsock_socket *socket, int32_t result);

struct vsock_socket_op {
	struct ring_op op;
	struct vsock_socket *socket;
	vsock_socket_done_fn *done;
	bool under_way;
	bool nowait; /* asked with RWF_NOWAIT */
};

/* The part that all sockets of a device share. */
struct vsock_sockets {
	struct ring *ring;
	pthread_mutex_t *lock;  /* the device's */
	struct ring_task *task; /* the device's */
	int half_ended_fd;      /* an epoll of sockets with one direction left */
	struct ring_op half_ended_op;
	bool no_nowait;       /* this host's sockets do not take RWF_NOWAIT */
	uint8_t waste[65536]; /* for input that no guest wants */
};

struct vsock_socket {
	struct vsock_sockets *sockets;
	int fd;             /* -1: closed */
	unsigned in_flight; /* operations on the ring */
	bool half_ended;    /* the epoll has it */
	bool waits_for_room;
	bool input_ended, output_ended;
	struct vsock_socket_op ops[VSOCK_SOCKET_KINDS];
};

/* Before ring_start(). Does not return on failure (exit 122). */
void vsock_sockets_open(struct vsock_sockets *sockets, struct ring *ring, pthread_mutex_t *lock,
			struct ring_task *task);

/* After ring_start(). */
void vsock_sockets_start(struct vsock_sockets *sockets);

/* Prepares a new socket: its data comes in one stream, and it passes no descriptors. */
void vsock_socket_prepare(int fd);

/* fd: a prepared socket, or -1. */
void vsock_socket_open(struct vsock_socket *socket, struct vsock_sockets *sockets, int fd);

/* Nothing is in flight. */
void vsock_socket_close(struct vsock_socket *socket);

/* Operations: each calls done() once. What a pointer refers to stays valid until then. */

void vsock_socket_connect(struct vsock_socket *socket, const struct sockaddr_un *address,
			  vsock_socket_done_fn *done);

/* A pause before the next connect. */
void vsock_socket_pause(struct vsock_socket *socket, struct __kernel_timespec *pause,
			vsock_socket_done_fn *done);

/* Waits for something to read, if that is not under way. */
void vsock_socket_poll_in(struct vsock_socket *socket, vsock_socket_done_fn *done);

/* Waits for room to write. False: the host is short of memory. */
bool vsock_socket_poll_out(struct vsock_socket *socket, vsock_socket_done_fn *done);

/* Whether a poll that is back has found room, or an end that shows in the write. If it found only that one direction has
 * ended, poll again with the epoll. */
bool vsock_socket_has_room(int32_t result);
bool vsock_socket_epoll_out(struct vsock_socket *socket);

/* Waits until the other side closes its socket. Short of memory, the host may miss that. */
void vsock_socket_poll_hang_up(struct vsock_socket *socket, vsock_socket_done_fn *done);

/* Whether a poll that is back has found that. If it found only the end of a direction, the epoll waits on. */
bool vsock_socket_has_hung_up(struct vsock_socket *socket, int32_t result);

/* Reads what is there, or peeks at it (MSG_PEEK); -EAGAIN: nothing. */
void vsock_socket_receive(struct vsock_socket *socket, void *buffer, unsigned bytes, int flags,
			  vsock_socket_done_fn *done);

/* Reads what is there; -EAGAIN: nothing, or the host lacks RWF_NOWAIT: see no_nowait. */
void vsock_socket_read(struct vsock_socket *socket, const struct iovec *parts, unsigned n,
		       vsock_socket_done_fn *done);

/* nowait: writes what the socket takes at once; -EAGAIN: nothing. Otherwise the write waits for room, until the socket
 * ends. */
void vsock_socket_write(struct vsock_socket *socket, const struct iovec *parts, unsigned n,
			bool nowait, vsock_socket_done_fn *done);

/* Whether a write or a poll for room is under way. */
static inline bool vsock_socket_is_writing(const struct vsock_socket *socket)
{
	return socket->ops[VSOCK_SOCKET_WRITE].under_way ||
	       socket->ops[VSOCK_SOCKET_POLL_OUT].under_way || socket->waits_for_room;
}

/* Ends: nothing is done to a closed socket, or twice. */

/* The other side gets EPIPE at its next write. */
void vsock_socket_end_input(struct vsock_socket *socket, vsock_socket_done_fn *done);

/* Throws input away, so that a writer who waits for room goes on. After end_input, again and again until the result is
 * not above 0. */
void vsock_socket_waste_input(struct vsock_socket *socket, vsock_socket_done_fn *done);

/* The other side reads the end. */
void vsock_socket_end_output(struct vsock_socket *socket, vsock_socket_done_fn *done);

/* Both ends, once; polls under way come back. */
void vsock_socket_end(struct vsock_socket *socket, vsock_socket_done_fn *done);

/* Whether nothing waits to be read. */
bool vsock_socket_is_drained(const struct vsock_socket *socket);

#endif
