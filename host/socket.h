/* SPDX-License-Identifier: MIT */
/* What an inherited descriptor is, if it is a socket. */
#ifndef HOST_SOCKET_H
#define HOST_SOCKET_H

#include <stdbool.h>

#include "host/error.h"

struct socket_kind {
	int domain, type;          /* AF_ and SOCK_ */
	bool listening, connected; /* also to one that has closed it */
};

/* False, with errno: it is no socket. */
bool socket_look(int fd, struct socket_kind *kind);

/* Takes over one of a Unix SOCK_SEQPACKET pair, whose flags stay as they are. */
bool socket_adopt_packets(int fd, struct error_text *error);

#endif
