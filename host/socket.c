/* SPDX-License-Identifier: MIT */
#include "host/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

bool socket_look(int fd, struct socket_kind *kind)
{
	int listening = 0;
	struct sockaddr_storage peer;
	socklen_t length = sizeof(int), peer_length = sizeof(peer);

	*kind = (struct socket_kind){ .domain = -1 };
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind->type, &length) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &kind->domain, &length) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) < 0)
		return false;
	kind->listening = listening != 0;
	kind->connected = getpeername(fd, (struct sockaddr *)&peer, &peer_length) == 0;
	return true;
}

bool socket_adopt_packets(int fd, struct error_text *error)
{
	struct socket_kind kind;

	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return error_set_errno(error, "%s", strerror(errno));
	return (socket_look(fd, &kind) && kind.domain == AF_UNIX && kind.type == SOCK_SEQPACKET &&
		kind.connected) ||
	       error_set(error, "expected a connected Unix socket of type SOCK_SEQPACKET");
}
