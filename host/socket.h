/* SPDX-License-Identifier: MIT */
/* What an inherited descriptor is, if it is a socket. */
#ifndef HOST_SOCKET_H
#define HOST_SOCKET_H

#include <stdbool.h>

#include "host/error.h"

struct socket_kind {
	int domain, type; /* AF_ and SOCK_ */
	bool listening;
	bool connected; /* also to one that has been closed */
};

/* False: it is no socket. */
bool socket_look(int fd, struct socket_kind *kind);

/* Takes over an inherited socket of this kind, whose flags stay as they are; domain 0: any. It passes no descriptors any
 * more, to whoever shares it. */
bool socket_adopt(int fd, const struct socket_kind *wanted, const char *its_name,
		  struct error_text *error);

/* Has the kernel refuse descriptors that are sent to this Unix socket, or to those that it accepts. A read would
 * close them at once, and the last close of a file may block (SO_LINGER). No effect before Linux 6.16. */
void socket_refuse_descriptors(int fd);

#endif
