/* SPDX-License-Identifier: MIT */
/*
 * The control socket's side of the wire: a line a request, a line back. It knows no request.
 *
 * A client costs nobody but itself: its next line is read when the one before is answered, its answer is dropped with
 * its connection if it does not take it, and one that has no place is told so at once. All on the ring's thread.
 */
#ifndef HOST_CONTROL_SOCKET_H
#define HOST_CONTROL_SOCKET_H

#include <stdbool.h>

#include "host/error.h"
#include "host/listen_socket.h"
#include "host/ring.h"

#define CONTROL_CLIENTS      8
#define CONTROL_LINE_BYTES   128u  /* of a request, with its newline */
#define CONTROL_ANSWER_BYTES 4608u /* of an answer, with its newline */
/* What a client and the listener may have on the ring together. */
#define CONTROL_OPERATIONS (CONTROL_CLIENTS + 1u)

struct control_socket;

struct control_client {
	struct ring_op op;
	struct control_socket *socket;
	int fd;       /* -1: the place is free */
	bool waits;   /* for its answer */
	bool working; /* its lines are being handled */
	bool failed;  /* it has not taken an answer, or made too long a line */
	unsigned length;
	char line[CONTROL_LINE_BYTES];
};

/* Answers now or later, once: control_answer(). `request` has no newline, and is valid until then. */
typedef void control_request_fn(void *context, struct control_client *client, const char *request);

struct control_socket {
	struct ring_op op; /* of the listener */
	struct ring *ring;
	struct listen_socket listener; /* fd -1: there is none */
	control_request_fn *handle;
	void *context;
	struct control_client clients[CONTROL_CLIENTS];
};

/* Makes a socket at `path`, which must stay valid. False: *error says why not. */
bool control_socket_open(struct control_socket *socket, const char *path, struct error_text *error);

/* Takes over an inherited Unix stream socket: a listening one, or the end of a connection, whose other end is the only
 * client then. Its flags stay as they are. */
bool control_socket_adopt(struct control_socket *socket, int fd, struct error_text *error);

/* Before ring_start(). */
void control_socket_init(struct control_socket *socket, struct ring *ring,
			 control_request_fn *handle, void *context);

/* After ring_start(). */
void control_socket_start(struct control_socket *socket);

/* One line of JSON, without its newline, which is added. */
void control_answer(struct control_client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The answer {"ok":false,"error":...}: `why` is any text. */
void control_refuse(struct control_client *client, const char *why);

/* After ring_close(). */
void control_socket_close(struct control_socket *socket);

#endif
