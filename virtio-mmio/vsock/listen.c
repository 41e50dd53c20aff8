/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/vsock/listen.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "host/clock.h"
#include "host/container_of.h"
#include "host/message.h"
#include "host/text.h"

#define FIRST_HOST_PORT 0x40000000u /* above the ports that programs listen on */

/* A program's time for its line, from when it was accepted; and how many late ones are closed at a time. */
#define GREETING_LIMIT_MS 10000
#define GREETING_SHARE    64u

/* The pause before the next accept if the host is short of memory or files. */
static struct __kernel_timespec accept_pause = { .tv_nsec = 100000000 };

static struct ring *ring_of(struct vsock_listener *listener)
{
	return listener->all->sockets->ring;
}

/* Gives the place back, once nothing of it is on the ring. */
static void release(struct vsock_greeting *greeting)
{
	if (greeting->socket.in_flight > 0)
		return;
	vsock_socket_close(&greeting->socket);
	vsock_connection_put(greeting->place);
	greeting->place = NULL;
}

static void end(struct vsock_greeting *greeting)
{
	vsock_list_remove(&greeting->link);
	greeting->over = true;
	release(greeting);
}

/* "CONNECT <port>" in a string whose line end was at line_end. False: something else. */
static bool parse_line(const char *line, const char *line_end, uint32_t *port)
{
	static const char word[] = "CONNECT ";
	const char *end_of_number;

	if (strncmp(line, word, sizeof(word) - 1) != 0)
		return false;
	line += sizeof(word) - 1;
	uint64_t number = text_number(line, &end_of_number);
	*port = (uint32_t)number;
	return end_of_number != line && end_of_number == line_end && number < UINT32_MAX;
}

static uint32_t choose_host_port(struct vsock_listener *listener, uint32_t guest_port)
{
	uint32_t port;

	do
		port = FIRST_HOST_PORT + listener->next_host_port++ % 0x40000000u;
	while (vsock_connection_find(listener->all, guest_port, port) != NULL);
	return port;
}

static void greeted(struct vsock_greeting *greeting)
{
	struct vsock_listener *listener = greeting->listener;
	char *line_end = &greeting->line[greeting->length - 1];
	uint32_t guest_port;

	*line_end = '\0';
	if (!parse_line(greeting->line, line_end, &guest_port) ||
	    !virtio_device_is_live(listener->device)) {
		end(greeting);
		return;
	}
	vsock_list_remove(&greeting->link);
	vsock_connection_request(greeting->place, greeting->socket.fd, guest_port,
				 choose_host_port(listener, guest_port));
	greeting->socket.fd = -1;
	greeting->place = NULL;
}

static void received(struct vsock_socket *socket, int32_t result);
static void polled(struct vsock_socket *socket, int32_t result);

/* Peeks first: what follows the line belongs to the stream. */
static void look(struct vsock_greeting *greeting)
{
	greeting->seen = 0;
	vsock_socket_receive(&greeting->socket, greeting->line + greeting->length,
			     VSOCK_GREETING_BYTES - greeting->length, MSG_PEEK, received);
}

/* Takes the `seen` bytes, up to the line's end if it is among them. */
static void take(struct vsock_greeting *greeting, unsigned seen)
{
	char *start = greeting->line + greeting->length;
	const char *line_end = memchr(start, '\n', seen);

	greeting->seen = line_end ? (unsigned)(line_end - start) + 1 : seen;
	vsock_socket_receive(&greeting->socket, start, greeting->seen, 0, received);
}

static void took(struct vsock_greeting *greeting, unsigned taken)
{
	greeting->length += taken;
	if (greeting->line[greeting->length - 1] == '\n')
		greeted(greeting);
	else if (greeting->length < VSOCK_GREETING_BYTES)
		look(greeting);
	else
		end(greeting);
}

static void received(struct vsock_socket *socket, int32_t result)
{
	struct vsock_greeting *greeting = container_of(socket, struct vsock_greeting, socket);

	if (result > 0)
		greeting->in_vain = 0;
	if (greeting->over) {
		release(greeting);
	} else if (result == -EAGAIN || result == -EINTR) {
		if (++greeting->in_vain < VSOCK_MAX_IN_VAIN)
			vsock_socket_poll_in(socket, polled);
		else
			end(greeting);
	} else if (result <= 0) {
		end(greeting);
	} else if (greeting->seen == 0) {
		take(greeting, (unsigned)result);
	} else {
		took(greeting, (unsigned)result);
	}
}

static void polled(struct vsock_socket *socket, int32_t result)
{
	struct vsock_greeting *greeting = container_of(socket, struct vsock_greeting, socket);

	(void)result; /* an error shows in the next look */
	if (greeting->over)
		release(greeting);
	else
		look(greeting);
}

static void shut(struct vsock_socket *socket, int32_t result)
{
	(void)result;
	release(container_of(socket, struct vsock_greeting, socket));
}

static void deadlines_passed(struct ring_op *op, int32_t result);

/* One timer for all. It is not stopped when the first one says its line. */
static void start_timer(struct vsock_listener *listener)
{
	struct vsock_link *first = vsock_list_first(&listener->greetings);
	struct io_uring_sqe *sqe;

	if (first == NULL || listener->timer_runs)
		return;
	int64_t end_ms = container_of(first, struct vsock_greeting, link)->end_ms;
	listener->timer_end = (struct __kernel_timespec){
		.tv_sec = end_ms / 1000,
		.tv_nsec = end_ms % 1000 * 1000000,
	};
	sqe = ring_prepare(ring_of(listener));
	io_uring_prep_timeout(sqe, &listener->timer_end, 0, IORING_TIMEOUT_ABS);
	listener->timer_op.done = deadlines_passed;
	ring_commit(sqe, &listener->timer_op);
	listener->timer_runs = true;
}

static void deadlines_passed(struct ring_op *op, int32_t result)
{
	struct vsock_listener *listener = container_of(op, struct vsock_listener, timer_op);
	int64_t now_ms = clock_now_ms();

	(void)result; /* ETIME */
	virtio_device_lock(listener->device);
	listener->timer_runs = false;
	for (unsigned share = GREETING_SHARE; share > 0; share--) {
		struct vsock_link *first = vsock_list_first(&listener->greetings);
		struct vsock_greeting *greeting;
		if (first == NULL)
			break;
		greeting = container_of(first, struct vsock_greeting, link);
		if (greeting->end_ms > now_ms)
			break;
		vsock_socket_end(&greeting->socket, shut); /* the poll comes back */
		end(greeting);
	}
	start_timer(listener);
	virtio_device_unlock(listener->device);
}

/* Accepts the next one after the batch. */
static void go_on(struct vsock_listener *listener)
{
	ring_after_batch(ring_of(listener), listener->all->sockets->task);
}

static void pause_is_over(struct ring_op *op, int32_t result)
{
	struct vsock_listener *listener = container_of(op, struct vsock_listener, pause_op);

	(void)result; /* ETIME */
	virtio_device_lock(listener->device);
	listener->paused = false;
	go_on(listener);
	virtio_device_unlock(listener->device);
}

static void accept_failed(struct vsock_listener *listener, int error)
{
	struct io_uring_sqe *sqe;

	switch (error) {
	case ECONNABORTED:
	case EINTR:
		break;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
		sqe = ring_prepare(ring_of(listener));
		io_uring_prep_timeout(sqe, &accept_pause, 0, 0);
		listener->pause_op.done = pause_is_over;
		ring_commit(sqe, &listener->pause_op);
		listener->paused = true;
		break;
	default:
		warn("vsock: cannot accept connections any more: %s", strerror(error));
		listener->given_up = true;
		break;
	}
}

static void accepted(struct ring_op *op, int32_t result);

static void submit_accept(struct vsock_listener *listener)
{
	struct io_uring_sqe *sqe = ring_prepare(ring_of(listener));

	io_uring_prep_accept(sqe, listener->socket->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	listener->accept_op.done = accepted;
	ring_commit(sqe, &listener->accept_op);
}

static void somebody_is_there(struct ring_op *op, int32_t result)
{
	struct vsock_listener *listener = container_of(op, struct vsock_listener, accept_op);

	if (result < 0) {
		accepted(op, result);
		return;
	}
	virtio_device_lock(listener->device);
	submit_accept(listener);
	virtio_device_unlock(listener->device);
}

/* An inherited socket may be non-blocking, for others who share it. Then the ring's accept does not wait, and the others
 * may be faster after a poll. */
static void poll_before_accept(struct vsock_listener *listener)
{
	struct io_uring_sqe *sqe = ring_prepare(ring_of(listener));

	io_uring_prep_poll_add(sqe, listener->socket->fd, POLLIN);
	listener->accept_op.done = somebody_is_there;
	ring_commit(sqe, &listener->accept_op);
}

static void begin_greeting(struct vsock_listener *listener, int fd)
{
	size_t index = (size_t)(listener->place - listener->all->places);
	struct vsock_greeting *greeting = &listener->pool[index];

	*greeting = (struct vsock_greeting){
		.listener = listener,
		.place = listener->place,
		.end_ms = clock_now_ms() + GREETING_LIMIT_MS,
	};
	vsock_socket_prepare(fd);
	vsock_socket_open(&greeting->socket, listener->all->sockets, fd);
	vsock_list_append(&listener->greetings, &greeting->link);
	start_timer(listener);
	look(greeting);
}

static void accepted(struct ring_op *op, int32_t result)
{
	struct vsock_listener *listener = container_of(op, struct vsock_listener, accept_op);

	virtio_device_lock(listener->device);
	if (result == -EAGAIN) {
		poll_before_accept(listener);
	} else if (result < 0) {
		accept_failed(listener, -result);
		vsock_connection_put(listener->place);
		listener->place = NULL;
	} else {
		begin_greeting(listener, result);
		listener->place = NULL;
	}
	go_on(listener);
	virtio_device_unlock(listener->device);
}

void vsock_listener_init(struct vsock_listener *listener, struct virtio_device *device,
			 struct vsock_connections *all, const struct listen_socket *socket)
{
	listener->device = device;
	listener->all = all;
	listener->socket = socket;
	vsock_list_init(&listener->greetings);
}

void vsock_listener_accept(struct vsock_listener *listener)
{
	if (!vsock_listener_has_work(listener))
		return;
	listener->place = vsock_connection_get(listener->all);
	if (listener->place != NULL)
		submit_accept(listener);
}
