/* SPDX-License-Identifier: MIT */
#include "host/control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/container_of.h"
#include "host/json.h"
#include "host/socket.h"
#include "host/text.h"

static void drop(struct control_client *client)
{
	close(client->fd);
	client->fd = -1;
}

/* False: the other side has left, or takes nothing. */
static bool send_line(int fd, const char *line, size_t length)
{
	return send(fd, line, length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length;
}

static void lines_arrived(struct ring_op *op, int32_t result);

static void wait_for_lines(struct control_client *client)
{
	struct io_uring_sqe *sqe = ring_prepare(client->socket->ring);

	io_uring_prep_recv(sqe, client->fd, client->line + client->length,
			   CONTROL_LINE_BYTES - client->length, 0);
	client->op.done = lines_arrived;
	ring_commit(sqe, &client->op);
}

static void readable(struct ring_op *op, int32_t result)
{
	(void)result; /* an error shows in the read */
	wait_for_lines(container_of(op, struct control_client, op));
}

/* An inherited socket may be non-blocking. */
static void wait_until_readable(struct control_client *client)
{
	struct io_uring_sqe *sqe = ring_prepare(client->socket->ring);

	io_uring_prep_poll_add(sqe, client->fd, POLLIN);
	client->op.done = readable;
	ring_commit(sqe, &client->op);
}

/* Handles the next whole line, if there is one and no answer is owed. */
static bool take_line(struct control_client *client)
{
	char request[CONTROL_LINE_BYTES];
	const char *end = memchr(client->line, '\n', client->length);

	if (end == NULL || client->waits || client->failed)
		return false;
	unsigned length = (unsigned)(end - client->line);
	memcpy(request, client->line, length);
	request[length] = '\0';
	/* A zero byte would hide what follows it. */
	if (strlen(request) != length)
		request[0] = '\0';
	client->length -= length + 1;
	memmove(client->line, end + 1, client->length);
	client->waits = true;
	client->socket->handle(client->socket->context, client, request);
	return true;
}

static void work(struct control_client *client)
{
	client->working = true;
	while (take_line(client))
		;
	if (!client->waits && !client->failed && client->length == CONTROL_LINE_BYTES) {
		control_answer(client,
			       "{\"ok\":false,\"error\":\"the line is longer than %u bytes\"}",
			       CONTROL_LINE_BYTES - 1);
		client->failed = true;
	}
	client->working = false;
	if (client->failed)
		drop(client);
	else if (!client->waits)
		wait_for_lines(client);
}

void control_answer(struct control_client *client, const char *format, ...)
{
	char line[CONTROL_ANSWER_BYTES];
	va_list args;

	va_start(args, format);
	int length = text_format_list(line, sizeof(line), format, args);
	va_end(args);
	if (length >= (int)sizeof(line))
		length = (int)sizeof(line) - 1;
	line[length] = '\n';
	if (!send_line(client->fd, line, (size_t)length + 1))
		client->failed = true;
	client->waits = false;
	if (!client->working)
		work(client);
}

void control_refuse(struct control_client *client, const char *why)
{
	char text[JSON_LINE_BYTES];
	struct json json;

	json_begin(&json, text);
	json_add_text(&json, "error", why);
	json_end(&json);
	text[strcspn(text, "\n")] = '\0';
	control_answer(client, "{\"ok\":false,%s", text + 1);
}

static void lines_arrived(struct ring_op *op, int32_t result)
{
	struct control_client *client = container_of(op, struct control_client, op);

	if (result == -EAGAIN || result == -EINTR) {
		wait_until_readable(client);
		return;
	}
	client->failed = result <= 0;
	if (result > 0)
		client->length += (unsigned)result;
	work(client);
}

/* NULL: all places are taken. */
static struct control_client *add_client(struct control_socket *socket, int fd)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
		struct control_client *client = &socket->clients[i];
		if (client->fd >= 0)
			continue;
		*client = (struct control_client){
			.socket = socket,
			.fd = fd,
		};
		return client;
	}
	return NULL;
}

static void welcome(struct control_socket *socket, int fd)
{
	static const char full[] =
		"{\"ok\":false,\"error\":\"as many clients as there may be are connected\"}\n";
	struct control_client *client = add_client(socket, fd);

	socket_refuse_descriptors(fd);
	if (client != NULL) {
		wait_for_lines(client);
	} else {
		send_line(fd, full, sizeof(full) - 1);
		close(fd);
	}
}

static void accepted(struct ring_op *op, int32_t result);

static void accept_next(struct control_socket *socket)
{
	struct io_uring_sqe *sqe = ring_prepare(socket->ring);

	io_uring_prep_accept(sqe, socket->listener.fd, NULL, NULL, SOCK_CLOEXEC);
	socket->op.done = accepted;
	ring_commit(sqe, &socket->op);
}

static void accept_again(struct ring_op *op, int32_t result)
{
	(void)result; /* ETIME, or poll's events */
	accept_next(container_of(op, struct control_socket, op));
}

/* An inherited socket may be non-blocking; else the host is short of something, or a client has left already. */
static void accept_later(struct control_socket *socket, int error)
{
	static struct __kernel_timespec pause = { .tv_nsec = 100000000 };
	struct io_uring_sqe *sqe = ring_prepare(socket->ring);

	if (error == EAGAIN)
		io_uring_prep_poll_add(sqe, socket->listener.fd, POLLIN);
	else
		io_uring_prep_timeout(sqe, &pause, 0, 0);
	socket->op.done = accept_again;
	ring_commit(sqe, &socket->op);
}

static void accepted(struct ring_op *op, int32_t result)
{
	struct control_socket *socket = container_of(op, struct control_socket, op);

	if (result < 0) {
		accept_later(socket, -result);
		return;
	}
	welcome(socket, result);
	accept_next(socket);
}

static void clear(struct control_socket *socket)
{
	*socket = (struct control_socket){ .listener.fd = -1 };
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		socket->clients[i].fd = -1;
}

bool control_socket_open(struct control_socket *socket, const char *path, struct error_text *error)
{
	clear(socket);
	return listen_socket_open(&socket->listener, path, error);
}

bool control_socket_adopt(struct control_socket *socket, int fd, struct error_text *error)
{
	struct socket_kind kind;

	clear(socket);
	if (!socket_look(fd, &kind) || kind.domain != AF_UNIX || kind.type != SOCK_STREAM ||
	    !(kind.listening || kind.connected))
		return error_set(error, "expected a listening or connected Unix stream socket");
	if (kind.listening)
		return listen_socket_adopt(&socket->listener, fd, error);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return error_set_errno(error, "%s", strerror(errno));
	socket_refuse_descriptors(fd);
	add_client(socket, fd);
	return true;
}

void control_socket_init(struct control_socket *socket, struct ring *ring,
			 control_request_fn *handle, void *context)
{
	socket->ring = ring;
	socket->handle = handle;
	socket->context = context;
}

void control_socket_start(struct control_socket *socket)
{
	if (socket->listener.fd >= 0)
		accept_next(socket);
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		if (socket->clients[i].fd >= 0)
			wait_for_lines(&socket->clients[i]);
}

void control_socket_close(struct control_socket *socket)
{
	if (socket->listener.fd >= 0)
		close(socket->listener.fd);
	for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
		if (socket->clients[i].fd >= 0)
			drop(&socket->clients[i]);
}
