/* SPDX-License-Identifier: MIT */
#include "host/listen_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/file.h"
#include "host/release.h"
#include "host/socket.h"

#define BACKLOG 1024

/* Whether a process has the socket, listening or not: then it must be left alone. `fd` is a datagram socket for one try. */
static bool is_used(const struct sockaddr_un *address, int fd)
{
	/* EPROTOTYPE: a stream socket, which does not notice the try. ECONNREFUSED: a file without a socket behind it. */
	bool used = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
		    (errno != ECONNREFUSED && errno != ENOENT);

	close(fd);
	return used;
}

/* False: *error says that a process still has it, or why the probe failed. */
static bool is_stale(const struct sockaddr_un *address, struct error_text *error)
{
	struct release_wait wait = { 0 };

	for (;;) {
		int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			return error_set_errno(error, "%s", strerror(errno));
		if (!is_used(address, fd))
			return true;
		if (!release_wait(&wait))
			return error_set_refused(error, "another process uses it");
	}
}

/* Removed at exit(): the paths, if they are still our sockets. Two threads may make one each, or one end the process
 * meanwhile: it waits, for a second at most, and keeps the lock. */
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
static struct own_socket {
	const char
		*name; /* in its directory, which the thread that removes it may not see any more */
	int directory_fd;
	struct stat status;
} own[LISTEN_SOCKETS];
static unsigned n_own;

static bool is_file_of(const struct own_socket *socket, const struct stat *status)
{
	return status->st_dev == socket->status.st_dev && status->st_ino == socket->status.st_ino;
}

static bool remove_stale(const struct sockaddr_un *address, struct error_text *error)
{
	struct stat status;

	if (lstat(address->sun_path, &status) < 0)
		return errno == ENOENT || error_set_errno(error, "%s", strerror(errno));
	if (!S_ISSOCK(status.st_mode))
		return error_set(error, "the path exists and is no socket");
	for (const struct own_socket *socket = own; socket < own + n_own; socket++)
		if (is_file_of(socket, &status))
			return error_set(error, "another option has this path");
	if (!is_stale(address, error))
		return false;
	if (unlink(address->sun_path) < 0 && errno != ENOENT)
		return error_set_errno(error, "cannot remove the stale socket: %s",
				       strerror(errno));
	return true;
}

static void remove_own(void)
{
	struct stat status;

	pthread_mutex_lock(&making);
	for (const struct own_socket *socket = own; socket < own + n_own; socket++)
		if (fstatat(socket->directory_fd, socket->name, &status, AT_SYMLINK_NOFOLLOW) ==
			    0 &&
		    is_file_of(socket, &status))
			unlinkat(socket->directory_fd, socket->name, 0);
}

/* False with errno. */
static bool remember(struct own_socket *socket, const char *path)
{
	socket->name = file_base_name(path);
	socket->directory_fd = file_open_folder(path);
	return socket->directory_fd >= 0 && fstatat(socket->directory_fd, socket->name,
						    &socket->status, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool bind_path(int fd, const struct sockaddr_un *address, const char *path)
{
	if (n_own == 0)
		atexit(remove_own);
	mode_t mask = umask(0177); /* bind() makes it 0600 at once */
	int result = bind(fd, (const struct sockaddr *)address, sizeof(*address));
	int error = errno;
	umask(mask);
	if (result == 0 && !remember(&own[n_own], path)) {
		error = errno;
		result = -1;
		unlink(path);
	}
	n_own += result == 0;
	errno = error;
	return result == 0;
}

static bool make(struct listen_socket *listener, const struct sockaddr_un *address,
		 const char *path, struct error_text *error)
{
	if (!remove_stale(address, error))
		return false;
	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener->fd < 0)
		return error_set_errno(error, "%s", strerror(errno));
	socket_refuse_descriptors(listener->fd);
	if (bind_path(listener->fd, address, path) && listen(listener->fd, BACKLOG) == 0)
		return true;
	error_set_errno(error, "%s", strerror(errno));
	close(listener->fd);
	return false;
}

bool listen_socket_open(struct listen_socket *listener, const char *path, struct error_text *error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(error, "the path is longer than %zu bytes",
				 sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path) + 1);
	pthread_mutex_lock(&making);
	bool is_made = make(listener, &address, path, error);
	pthread_mutex_unlock(&making);
	return is_made;
}

void listen_socket_directories(int fds[LISTEN_SOCKETS])
{
	for (unsigned i = 0; i < LISTEN_SOCKETS; i++)
		fds[i] = i < n_own ? own[i].directory_fd : -1;
}

bool listen_socket_adopt(struct listen_socket *listener, int fd, struct error_text *error)
{
	const struct socket_kind kind = { AF_UNIX, SOCK_STREAM, .listening = true };

	*listener = (struct listen_socket){ .fd = fd };
	return socket_adopt(fd, &kind, "a listening Unix stream socket", error);
}
