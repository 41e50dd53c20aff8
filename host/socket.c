/* SPDX-License-Identifier: MIT */
#include "host/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SO_PASSRIGHTS /* of Linux 6.16 */
#define SO_PASSRIGHTS 83
#endif

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

bool socket_adopt(int fd, const struct socket_kind *wanted, const char *its_name,
		  struct error_text *error)
{
	struct socket_kind kind;

	/* That is the descriptor's own; O_NONBLOCK belongs to all who share the socket, and stays. */
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return error_set_errno(error, "%s", strerror(errno));
	if (!socket_look(fd, &kind) || kind.type != wanted->type ||
	    (wanted->domain != 0 && kind.domain != wanted->domain) ||
	    kind.listening != wanted->listening || kind.connected != wanted->connected)
		return error_set(error, "expected %s", its_name);
	socket_refuse_descriptors(fd);
	return true;
}

void socket_refuse_descriptors(int fd)
{
	int pass = 0;

	setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &pass, sizeof(pass));
}
