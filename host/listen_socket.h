/* SPDX-License-Identifier: MIT */
/* Listening Unix sockets at paths, which disappear with the monitor. */
#ifndef HOST_LISTEN_SOCKET_H
#define HOST_LISTEN_SOCKET_H

#include <stdbool.h>

#include "host/error.h"

/* At a path, in a process. */
#define LISTEN_SOCKETS 2

struct listen_socket {
	int fd;
};

/* Makes a socket at `path` (which must stay valid), mode 0600, that is removed at exit(). A stale one, which no process
 * has, is replaced; one in use is waited for, for a second. False: *error says what is in the way. Any thread. */
bool listen_socket_open(struct listen_socket *socket, const char *path, struct error_text *error);

/* The directories of those sockets, open as long as the process lives; -1 behind the last. When all are open. */
void listen_socket_directories(int fds[LISTEN_SOCKETS]);

/* Takes over an inherited listening Unix stream socket, whose flags stay as they are: it may be non-blocking. It passes
 * no descriptors any more, to whoever shares it. */
bool listen_socket_adopt(struct listen_socket *socket, int fd, struct error_text *error);

#endif
