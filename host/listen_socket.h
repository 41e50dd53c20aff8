/* A listening Unix socket at a path, which disappears with the monitor. */
#ifndef HOST_LISTEN_SOCKET_H
#define HOST_LISTEN_SOCKET_H

#include <stdbool.h>

#include "host/fail.h"

struct listen_socket {
	int fd;
};

/* Makes a socket at `path` (which must stay valid), mode 0600, that is removed at exit(). A stale one,
 * on which nobody listens any more after a second, is replaced. False: *error says what is in the way. Once a process. */
bool listen_socket_open(struct listen_socket *socket, const char *path, struct error_text *error);

/* Takes over an inherited listening Unix stream socket, whose flags stay as they are: it may be non-blocking. */
bool listen_socket_adopt(struct listen_socket *socket, int fd, struct error_text *error);

#endif
