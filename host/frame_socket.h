/* SPDX-License-Identifier: MIT */
/* A stream socket whose other end, passt or another monitor, carries Ethernet frames, each behind its length: 32 bits,
 * big-endian. */
#ifndef HOST_FRAME_SOCKET_H
#define HOST_FRAME_SOCKET_H

#include <stdbool.h>

#include "host/error.h"

struct frame_socket {
	int fd; /* -1: closed */
	const char
		*path; /* of the peer's listener; NULL: inherited, and cannot be connected again */
};

/* Connects to the Unix socket at `path`, which must stay valid. False: nobody listens there, for a second. */
bool frame_socket_open(struct frame_socket *socket, const char *path, struct error_text *error);

/* Takes over an inherited connection, whose flags stay as they are. */
bool frame_socket_adopt(struct frame_socket *socket, int fd, struct error_text *error);

/* Connects the closed socket to its path again. False, with errno: nobody listens there. Waits for nothing but the path's
 * file system. */
bool frame_socket_connect(struct frame_socket *socket);

/* No effect on a closed one. */
void frame_socket_close(struct frame_socket *socket);

#endif
