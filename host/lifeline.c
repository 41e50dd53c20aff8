/* SPDX-License-Identifier: MIT */
#include "host/lifeline.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "host/clock.h"
#include "host/socket.h"

static int adopted_fd = -1;

/* Not a listening one, nor one of datagrams: nobody closes these from afar. */
static bool is_connection(int fd)
{
	struct socket_kind kind;

	return socket_look(fd, &kind) && !kind.listening &&
	       (kind.type == SOCK_STREAM || kind.type == SOCK_SEQPACKET);
}

/* One that is open for both is its own other end. */
static bool is_end_of_pipe(int fd)
{
	struct stat status;
	int flags = fcntl(fd, F_GETFL);

	return fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) && !(flags & O_PATH) &&
	       (flags & O_ACCMODE) != O_RDWR;
}

bool lifeline_adopt(int fd, struct error_text *error)
{
	if (!is_end_of_pipe(fd) && !is_connection(fd))
		return error_set(error,
				 "expected one end of a pipe or a connected socket: nothing else "
				 "hangs up");
	adopted_fd = fd;
	return true;
}

int lifeline_fd(void)
{
	return adopted_fd;
}

bool lifeline_has_ended(void)
{
	return adopted_fd >= 0 && clock_poll_ms(adopted_fd, LIFELINE_EVENTS, 0) > 0;
}
