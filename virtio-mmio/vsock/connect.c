/*
 * How a guest program's connection comes about: the host's socket for its port is connected to. If the
 * backlog of the program that listens there is full, those who come wait in a line, each for a bounded time;
 * the first tries again after a pause, the others when it is through. Nothing tells when there is room.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "host/clock.h"
#include "virtio-mmio/vsock/vsock.h"

/* What Linux waits in connect() by default. */
#define ROOM_LIMIT_MS    2000
#define FIRST_PAUSE_MS   1u
#define LONGEST_PAUSE_MS 64u

static void connect_done(struct ring_op *op, int32_t result);

static void try_to_connect(struct vsock_connection *connection)
{
	struct io_uring_sqe *sqe = ring_prepare(connection->vsock->ring);

	io_uring_prep_connect(sqe, connection->fd, (struct sockaddr *)&connection->address,
			      sizeof(connection->address));
	connection->connect_op.done = connect_done;
	ring_commit(sqe, &connection->connect_op);
	connection->ops_in_flight++;
}

static void pause_over(struct ring_op *op, int32_t result)
{
	struct vsock_connection *connection = CONNECTION_OF(op, connect_op);
	struct vsock *vsock = connection->vsock;

	(void)result; /* ETIME */
	virtio_device_lock(&vsock->device);
	vsock_drop_old(vsock); /* before it is connected for a driver that is gone */
	if (vsock_op_done(connection))
		try_to_connect(connection);
	virtio_device_unlock(&vsock->device);
}

static void pause_before_next_try(struct vsock_connection *connection)
{
	struct io_uring_sqe *sqe = ring_prepare(connection->vsock->ring);

	connection->connect_pause =
		(struct __kernel_timespec){ .tv_nsec = connection->connect_pause_ms * 1000000L };
	if (connection->connect_pause_ms < LONGEST_PAUSE_MS)
		connection->connect_pause_ms *= 2;
	io_uring_prep_timeout(sqe, &connection->connect_pause, 0, 0);
	connection->connect_op.done = pause_over;
	ring_commit(sqe, &connection->connect_op);
	connection->ops_in_flight++;
}

static bool is_first(const struct vsock_connection *connection)
{
	return connection->behind.next != NULL;
}

static void become_first(struct vsock_connection *connection)
{
	vsock_list_init(&connection->behind);
	vsock_list_append(&connection->vsock->full, &connection->waiting);
	connection->connect_pause_ms = FIRST_PAUSE_MS;
}

/* Whether others wait for the same listener: then it waits behind them. */
static bool stand_in_line(struct vsock_connection *connection)
{
	struct vsock_link *full = &connection->vsock->full;

	for (struct vsock_link *at = full->next; at != full; at = at->next) {
		struct vsock_connection *first = CONNECTION_OF(at, waiting);
		if (first->stream.host_port != connection->stream.host_port)
			continue;
		vsock_list_append(&first->behind, &connection->waiting);
		connection->wait_end_ms = clock_now_ms() + ROOM_LIMIT_MS;
		return true;
	}
	return false;
}

/* The listener's backlog is full. */
static void wait_for_room(struct vsock_connection *connection)
{
	if (!is_first(connection)) {
		if (stand_in_line(connection))
			return;
		become_first(connection);
		connection->wait_end_ms = clock_now_ms() + ROOM_LIMIT_MS;
	} else if (clock_now_ms() >= connection->wait_end_ms) {
		vsock_end(connection, true);
		return;
	}
	pause_before_next_try(connection);
}

void vsock_stop_waiting(struct vsock_connection *connection)
{
	struct vsock_link *next;

	vsock_list_remove(&connection->waiting);
	if (!is_first(connection))
		return;
	next = vsock_list_first(&connection->behind);
	if (next != NULL) {
		struct vsock_connection *second = CONNECTION_OF(next, waiting);
		vsock_list_remove(next);
		become_first(second);
		vsock_list_move(&connection->behind, &second->behind);
		if (!connection->vsock->drop_old) /* it ends, too */
			try_to_connect(second);
	}
	connection->behind = (struct vsock_link){ .next = NULL };
}

static void connect_done(struct ring_op *op, int32_t result)
{
	struct vsock_connection *connection = CONNECTION_OF(op, connect_op);
	struct vsock *vsock = connection->vsock;

	virtio_device_lock(&vsock->device);
	if (vsock_op_done(connection)) {
		if (result == 0) {
			vsock_stop_waiting(connection);
			vsock_send_later(connection, VSOCK_PENDING_RESPONSE);
			vsock_watch_hang_up(connection);
			vsock_established(connection);
		} else if (result == -EAGAIN) {
			wait_for_room(connection);
		} else {
			vsock_end(connection, true); /* nobody listens there */
		}
		vsock_rx_run(vsock);
	}
	virtio_device_unlock(&vsock->device);
}

struct vsock_connection *vsock_connect(struct vsock *vsock, const struct virtio_vsock_hdr *request)
{
	struct vsock_connection *connection = vsock->path ? vsock_get_connection(vsock) : NULL;

	if (connection == NULL)
		return NULL;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		vsock_release(connection);
		return NULL;
	}
	vsock_set_socket(connection, fd);
	connection->stream.state = VSOCK_CONNECTING;
	connection->stream.guest_port = request->src_port;
	connection->stream.host_port = request->dst_port;
	vsock_stream_update_credit(&connection->stream, request);
	vsock_insert(connection);
	connection->address.sun_family = AF_UNIX;
	snprintf(connection->address.sun_path, sizeof(connection->address.sun_path), "%s_%u",
		 vsock->path, request->dst_port);
	if (!stand_in_line(connection))
		try_to_connect(connection);
	return connection;
}
