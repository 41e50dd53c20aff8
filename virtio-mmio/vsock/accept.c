/* How a host program's connection comes about: it is accepted, says "CONNECT port", and the guest is
 * asked. */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "host/clock.h"
#include "host/fail.h"
#include "virtio-mmio/vsock/vsock.h"

#define FIRST_HOST_PORT 0x40000000u /* above the ports that programs listen on */

/* What a program has for its line, from its being accepted on; and how many are shown the door at a time. */
#define GREETING_LIMIT_MS 10000
#define GREETING_SHARE    64u

/* Between two tries to accept, when the host is short of memory or files. */
static struct __kernel_timespec accept_pause = { .tv_nsec = 100000000 };

/* "CONNECT <port>" in a string; its line end was at line_end. False: it is something else. */
static bool parse_greeting(const char *line, const char *line_end, uint32_t *port)
{
	static const char word[] = "CONNECT ";
	char *end;

	if (strncmp(line, word, sizeof(word) - 1) != 0)
		return false;
	line += sizeof(word) - 1;
	if (line[0] < '0' || line[0] > '9')
		return false;
	unsigned long number = strtoul(line, &end, 10);
	*port = (uint32_t)number;
	return end == line_end && number < UINT32_MAX;
}

static void greeted(struct vsock_connection *connection)
{
	struct vsock *vsock = connection->vsock;
	char *line_end = &connection->greeting[connection->greeting_length - 1];

	vsock_drop_old(vsock); /* this one is the new driver's */
	vsock_list_remove(&connection->waiting);
	*line_end = '\0';
	if (!parse_greeting(connection->greeting, line_end, &connection->stream.guest_port) ||
	    !virtio_device_is_live(&vsock->device)) {
		vsock_end(connection, false);
		return;
	}
	do
		connection->stream.host_port =
			FIRST_HOST_PORT + vsock->next_host_port++ % 0x40000000u;
	while (vsock_find(vsock, connection->stream.guest_port, connection->stream.host_port));
	vsock_insert(connection);
	connection->stream.state = VSOCK_REQUESTED;
	vsock_watch_hang_up(connection);
	vsock_send_later(connection, VSOCK_PENDING_REQUEST);
	vsock_rx_run(vsock);
}

static void receive_greeting(struct vsock_connection *connection, unsigned length, int flags)
{
	struct io_uring_sqe *sqe = ring_prepare(connection->vsock->ring);

	io_uring_prep_recv(sqe, connection->fd, connection->greeting + connection->greeting_length,
			   length, MSG_DONTWAIT | flags);
	ring_commit(sqe, &connection->greeting_op);
	connection->ops_in_flight++;
}

/* Looks before it takes: what follows the line belongs to the stream. */
void vsock_read_greeting(struct vsock_connection *connection)
{
	connection->greeting_seen = 0;
	receive_greeting(connection, VSOCK_GREETING_BYTES - connection->greeting_length, MSG_PEEK);
}

/* Takes the line of the `seen` bytes, or all of them if it goes on. */
static void take_greeting(struct vsock_connection *connection, unsigned seen)
{
	const char *start = connection->greeting + connection->greeting_length;
	const char *line_end = memchr(start, '\n', seen);

	connection->greeting_seen = line_end ? (unsigned)(line_end - start) + 1 : seen;
	receive_greeting(connection, connection->greeting_seen, 0);
}

static void took_greeting(struct vsock_connection *connection, unsigned taken)
{
	connection->greeting_length += taken;
	if (connection->greeting[connection->greeting_length - 1] == '\n')
		greeted(connection);
	else if (connection->greeting_length < VSOCK_GREETING_BYTES)
		vsock_read_greeting(connection);
	else
		vsock_end(connection, false);
}

static void greeting_done(struct ring_op *op, int32_t result)
{
	struct vsock_connection *connection = CONNECTION_OF(op, greeting_op);
	struct virtio_device *device = &connection->vsock->device;

	virtio_device_lock(device);
	if (vsock_op_done(connection)) {
		if (result > 0)
			connection->in_vain = 0;
		if (result == -EAGAIN || result == -EINTR)
			vsock_poll_in_again(connection);
		else if (result <= 0)
			vsock_end(connection, false);
		else if (connection->greeting_seen == 0)
			take_greeting(connection, (unsigned)result);
		else
			took_greeting(connection, (unsigned)result);
	}
	virtio_device_unlock(device);
}

static void greetings_late(struct ring_op *op, int32_t result);

/* One timer for all; it is let run when the first has said its line meanwhile. */
static void time_greetings(struct vsock *vsock)
{
	struct vsock_link *first = vsock_list_first(&vsock->greeting);
	struct io_uring_sqe *sqe;

	if (first == NULL || vsock->greeting_timer_runs)
		return;
	int64_t end_ms = CONNECTION_OF(first, waiting)->wait_end_ms;
	vsock->greeting_timer_end = (struct __kernel_timespec){
		.tv_sec = end_ms / 1000,
		.tv_nsec = end_ms % 1000 * 1000000,
	};
	sqe = ring_prepare(vsock->ring);
	io_uring_prep_timeout(sqe, &vsock->greeting_timer_end, 0, IORING_TIMEOUT_ABS);
	vsock->greeting_timer_op.done = greetings_late;
	ring_commit(sqe, &vsock->greeting_timer_op);
	vsock->greeting_timer_runs = true;
}

static void greetings_late(struct ring_op *op, int32_t result)
{
	struct vsock *vsock =
		(struct vsock *)((char *)op - offsetof(struct vsock, greeting_timer_op));
	int64_t now_ms = clock_now_ms();

	(void)result; /* ETIME */
	virtio_device_lock(&vsock->device);
	vsock->greeting_timer_runs = false;
	for (unsigned share = GREETING_SHARE; share > 0; share--) {
		struct vsock_link *first = vsock_list_first(&vsock->greeting);
		if (first == NULL || CONNECTION_OF(first, waiting)->wait_end_ms > now_ms)
			break;
		vsock_end(CONNECTION_OF(first, waiting), false);
	}
	time_greetings(vsock);
	virtio_device_unlock(&vsock->device);
}

static void accept_pause_over(struct ring_op *op, int32_t result)
{
	struct vsock *vsock =
		(struct vsock *)((char *)op - offsetof(struct vsock, accept_pause_op));

	(void)result; /* ETIME */
	virtio_device_lock(&vsock->device);
	vsock->accept_paused = false;
	vsock_accept_next(vsock);
	virtio_device_unlock(&vsock->device);
}

static void accept_failed(struct vsock *vsock, int error)
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
		sqe = ring_prepare(vsock->ring);
		io_uring_prep_timeout(sqe, &accept_pause, 0, 0);
		vsock->accept_pause_op.done = accept_pause_over;
		ring_commit(sqe, &vsock->accept_pause_op);
		vsock->accept_paused = true;
		break;
	default:
		warn("vsock: cannot accept connections any more: %s", strerror(error));
		vsock->listen_fd = -1;
		break;
	}
}

static void accepted(struct ring_op *op, int32_t result);
static void submit_accept(struct vsock *vsock);

static void somebody_is_there(struct ring_op *op, int32_t result)
{
	struct vsock *vsock = (struct vsock *)((char *)op - offsetof(struct vsock, accept_op));

	if (result < 0) {
		accepted(op, result);
		return;
	}
	virtio_device_lock(&vsock->device);
	submit_accept(vsock);
	virtio_device_unlock(&vsock->device);
}

/* An inherited socket may be non-blocking, for others who share it: the ring's accept does not wait then, nor
 * is there always somebody left after the poll. */
static void poll_before_accept(struct vsock *vsock)
{
	struct io_uring_sqe *sqe = ring_prepare(vsock->ring);

	io_uring_prep_poll_add(sqe, vsock->listen_fd, POLLIN);
	vsock->accept_op.done = somebody_is_there;
	ring_commit(sqe, &vsock->accept_op);
}

static void accepted(struct ring_op *op, int32_t result)
{
	struct vsock *vsock = (struct vsock *)((char *)op - offsetof(struct vsock, accept_op));
	struct vsock_connection *connection = vsock->accepting;

	virtio_device_lock(&vsock->device);
	if (result == -EAGAIN) {
		poll_before_accept(vsock);
		virtio_device_unlock(&vsock->device);
		return;
	}
	vsock->accepting = NULL;
	if (result < 0) {
		accept_failed(vsock, -result);
		vsock_release(connection); /* accepts the next */
	} else {
		vsock_set_socket(connection, result);
		connection->stream.state = VSOCK_GREETING;
		connection->greeting_op.done = greeting_done;
		connection->wait_end_ms = clock_now_ms() + GREETING_LIMIT_MS;
		vsock_list_append(&vsock->greeting, &connection->waiting);
		time_greetings(vsock);
		vsock_read_greeting(connection);
		vsock_accept_next(vsock);
	}
	virtio_device_unlock(&vsock->device);
}

static void submit_accept(struct vsock *vsock)
{
	struct io_uring_sqe *sqe = ring_prepare(vsock->ring);

	io_uring_prep_accept(sqe, vsock->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	vsock->accept_op.done = accepted;
	ring_commit(sqe, &vsock->accept_op);
}

void vsock_accept_next(struct vsock *vsock)
{
	struct vsock_connection *connection;

	if (vsock->listen_fd < 0 || vsock->accepting != NULL || vsock->accept_paused)
		return;
	connection = vsock_get_connection(vsock);
	if (connection == NULL)
		return; /* clients wait in the socket's backlog; vsock_release() goes on */
	connection->stream.state = VSOCK_ACCEPTING;
	vsock->accepting = connection;
	submit_accept(vsock);
}
