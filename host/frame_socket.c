/* SPDX-License-Identifier: MIT */
#include "host/frame_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/release.h"
#include "host/sandbox.h"
#include "host/socket.h"

bool frame_socket_connect(struct frame_socket *frames)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return false;
	const char *path = sandbox_path(frames->path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		int error = errno;
		close(fd);
		errno = error;
		return false;
	}
	fcntl(fd, F_SETFL, 0); /* the ring waits */
	socket_refuse_descriptors(fd);
	frames->fd = fd;
	return true;
}

/* The peer may be starting, or have its hands full with a monitor that has just ended. */
static bool may_come(int error)
{
	return error == ENOENT || error == ECONNREFUSED || error == EAGAIN;
}

bool frame_socket_open(struct frame_socket *frames, const char *path, struct error_text *error)
{
	struct release_wait wait = { 0 };

	*frames = (struct frame_socket){ -1, path };
	if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return error_set(error, "the path is longer than %zu bytes",
				 sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
	while (!frame_socket_connect(frames))
		if (!may_come(errno) || !release_wait(&wait))
			return error_set_errno(error, "%s", strerror(errno));
	return true;
}

bool frame_socket_adopt(struct frame_socket *frames, int fd, struct error_text *error)
{
	const struct socket_kind kind = { .type = SOCK_STREAM, .connected = true };

	*frames = (struct frame_socket){ .fd = fd };
	return socket_adopt(fd, &kind, "a TAP or a connected stream socket", error);
}

void frame_socket_close(struct frame_socket *frames)
{
	if (frames->fd >= 0)
		close(frames->fd);
	frames->fd = -1;
}
