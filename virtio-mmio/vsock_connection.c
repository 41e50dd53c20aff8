/* The life of a connection: its slot in the ring's file table, its greeting, its end. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/fail.h"
#include "virtio-mmio/vsock.h"

#define FIRST_HOST_PORT 0x40000000u /* above the ports that programs listen on */

#define CONNECTION_OF(op, member)                                                                  \
	((struct vsock_connection *)((char *)(op)-offsetof(struct vsock_connection, member)))

static struct vsock_connection **bucket(struct vsock *vsock, uint32_t guest_port,
					uint32_t host_port)
{
	uint32_t hash = (guest_port * 0x9e3779b1u) ^ (host_port * 0x85ebca6bu);

	return &vsock->by_port[(hash >> 16) % VSOCK_MAX_CONNECTIONS];
}

struct vsock_connection *vsock_find(struct vsock *vsock, uint32_t guest_port, uint32_t host_port)
{
	struct vsock_connection *at = *bucket(vsock, guest_port, host_port);

	while (at != NULL &&
	       (at->stream.guest_port != guest_port || at->stream.host_port != host_port))
		at = at->next_by_port;
	return at;
}

static void insert(struct vsock_connection *connection)
{
	struct vsock_connection **head = bucket(connection->vsock, connection->stream.guest_port,
						connection->stream.host_port);

	connection->next_by_port = *head;
	*head = connection;
}

static void remove_from_ports(struct vsock_connection *connection)
{
	struct vsock_connection **at = bucket(connection->vsock, connection->stream.guest_port,
					      connection->stream.host_port);

	while (*at != NULL && *at != connection)
		at = &(*at)->next_by_port;
	if (*at != NULL)
		*at = connection->next_by_port;
}

static struct vsock_connection *get_connection(struct vsock *vsock)
{
	struct vsock_connection *connection = vsock->free_connections;
	unsigned index;

	if (connection != NULL)
		vsock->free_connections = connection->next_free;
	else if (vsock->fresh_connections < VSOCK_MAX_CONNECTIONS)
		connection = &vsock->connections[vsock->fresh_connections++];
	else
		return NULL;
	index = (unsigned)(connection - vsock->connections);
	*connection = (struct vsock_connection){
		.vsock = vsock,
		.slot = vsock->first_slot + (int)index,
		.buffer = vsock->buffers + (size_t)index * VSOCK_BUFFER_BYTES,
	};
	connection->poll_out_op.done = vsock_poll_out_done;
	connection->send_op.done = vsock_send_done;
	return connection;
}

/* Nothing of it is on the ring any more. */
static void release(struct vsock_connection *connection)
{
	struct vsock *vsock = connection->vsock;

	if (connection->registered)
		ring_clear_slot(vsock->ring, connection->slot);
	if (connection->stream.received != 0)
		madvise(connection->buffer, VSOCK_BUFFER_BYTES, MADV_DONTNEED);
	connection->stream.state = VSOCK_FREE;
	connection->next_free = vsock->free_connections;
	vsock->free_connections = connection;
	vsock_accept_next(vsock); /* if the pool was empty */
}

void vsock_release_if_over(struct vsock_connection *connection)
{
	if (connection->stream.state == VSOCK_ENDING && connection->ops_in_flight == 0 &&
	    !connection->queued_to_send) {
		remove_from_ports(connection);
		release(connection);
	}
}

bool vsock_op_done(struct vsock_connection *connection)
{
	connection->ops_in_flight--;
	if (connection->stream.state != VSOCK_ENDING)
		return true;
	vsock_release_if_over(connection);
	return false;
}

static void shutdown_done(struct vsock_connection *connection)
{
	struct virtio_device *device = &connection->vsock->device;

	virtio_device_lock(device);
	vsock_op_done(connection);
	virtio_device_unlock(device);
}

static void half_shutdown_done(struct ring_op *op, int32_t result)
{
	(void)result; /* ENOTCONN: the other side was faster */
	shutdown_done(CONNECTION_OF(op, half_shutdown_op));
}

static void end_shutdown_done(struct ring_op *op, int32_t result)
{
	(void)result;
	shutdown_done(CONNECTION_OF(op, end_shutdown_op));
}

static void submit_shutdown(struct vsock_connection *connection, struct ring_op *op,
			    ring_done_fn *done, int how)
{
	struct io_uring_sqe *sqe = ring_prepare(connection->vsock->ring);

	io_uring_prep_shutdown(sqe, connection->slot, how);
	op->done = done;
	ring_commit(sqe, op);
	connection->ops_in_flight++;
}

void vsock_shut_down(struct vsock_connection *connection, int how)
{
	submit_shutdown(connection, &connection->half_shutdown_op, half_shutdown_done, how);
}

void vsock_end(struct vsock_connection *connection, bool tell)
{
	if (connection->stream.state == VSOCK_ENDING)
		return;
	connection->stream.state = VSOCK_ENDING;
	connection->pending = 0;
	if (tell)
		vsock_send_later(connection, VSOCK_PENDING_RST);
	if (connection->registered) /* ends the polls that are on the ring, too */
		submit_shutdown(connection, &connection->end_shutdown_op, end_shutdown_done,
				SHUT_RDWR);
	vsock_release_if_over(connection);
}

void vsock_established(struct vsock_connection *connection)
{
	connection->stream.state = VSOCK_ESTABLISHED;
	vsock_poll_in(connection);
}

static void connect_done(struct ring_op *op, int32_t result)
{
	struct vsock_connection *connection = CONNECTION_OF(op, connect_op);
	struct vsock *vsock = connection->vsock;

	virtio_device_lock(&vsock->device);
	if (vsock_op_done(connection)) {
		if (result == 0) {
			vsock_send_later(connection, VSOCK_PENDING_RESPONSE);
			vsock_established(connection);
		} else {
			vsock_end(connection, true); /* nobody listens there */
		}
		vsock_rx_run(vsock);
	}
	virtio_device_unlock(&vsock->device);
}

struct vsock_connection *vsock_connect(struct vsock *vsock, const struct virtio_vsock_hdr *request)
{
	struct vsock_connection *connection = vsock->path ? get_connection(vsock) : NULL;
	int fd;

	if (connection == NULL)
		return NULL;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || !ring_set_slot(vsock->ring, connection->slot, fd)) {
		if (fd >= 0)
			close(fd);
		release(connection);
		return NULL;
	}
	close(fd); /* the ring holds it */
	connection->registered = true;
	connection->stream.state = VSOCK_CONNECTING;
	connection->stream.guest_port = request->src_port;
	connection->stream.host_port = request->dst_port;
	vsock_stream_update_credit(&connection->stream, request);
	insert(connection);
	connection->address.sun_family = AF_UNIX;
	snprintf(connection->address.sun_path, sizeof(connection->address.sun_path), "%s_%u",
		 vsock->path, request->dst_port);
	struct io_uring_sqe *sqe = ring_prepare(vsock->ring);
	io_uring_prep_connect(sqe, connection->slot, (struct sockaddr *)&connection->address,
			      sizeof(connection->address));
	connection->connect_op.done = connect_done;
	ring_commit(sqe, &connection->connect_op);
	connection->ops_in_flight++;
	return connection;
}

/* "CONNECT <port>" with its line end cut off. False: it is something else. */
static bool parse_greeting(const char *line, uint32_t *port)
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
	return *end == '\0' && number < UINT32_MAX;
}

static void greeted(struct vsock_connection *connection)
{
	struct vsock *vsock = connection->vsock;

	connection->greeting[connection->greeting_length - 1] = '\0';
	if (!parse_greeting(connection->greeting, &connection->stream.guest_port) ||
	    !virtio_device_is_live(&vsock->device)) {
		vsock_end(connection, false);
		return;
	}
	do
		connection->stream.host_port =
			FIRST_HOST_PORT + vsock->next_host_port++ % 0x40000000u;
	while (vsock_find(vsock, connection->stream.guest_port, connection->stream.host_port));
	insert(connection);
	connection->stream.state = VSOCK_REQUESTED;
	vsock_send_later(connection, VSOCK_PENDING_REQUEST);
	vsock_rx_run(vsock);
}

void vsock_read_greeting(struct vsock_connection *connection)
{
	struct io_uring_sqe *sqe = ring_prepare(connection->vsock->ring);

	/* A byte at a time: what follows the line belongs to the stream. */
	io_uring_prep_read(sqe, connection->slot,
			   connection->greeting + connection->greeting_length, 1, (uint64_t)-1);
	ring_commit(sqe, &connection->greeting_op);
	connection->ops_in_flight++;
}

static void greeting_done(struct ring_op *op, int32_t result)
{
	struct vsock_connection *connection = CONNECTION_OF(op, greeting_op);
	struct virtio_device *device = &connection->vsock->device;

	virtio_device_lock(device);
	if (vsock_op_done(connection)) {
		if (result == 1)
			connection->greeting_length++;
		if (result == -EAGAIN || result == -EINTR)
			vsock_poll_in(connection);
		else if (result != 1)
			vsock_end(connection, false);
		else if (connection->greeting[connection->greeting_length - 1] == '\n')
			greeted(connection);
		else if (connection->greeting_length < VSOCK_GREETING_BYTES)
			vsock_read_greeting(connection);
		else
			vsock_end(connection, false);
	}
	virtio_device_unlock(device);
}

static void accepted(struct ring_op *op, int32_t result)
{
	struct vsock *vsock = (struct vsock *)((char *)op - offsetof(struct vsock, accept_op));
	struct vsock_connection *connection = vsock->accepting;

	virtio_device_lock(&vsock->device);
	vsock->accepting = NULL;
	if (result < 0) {
		if (result != -ECONNABORTED && result != -EINTR && result != -EAGAIN) {
			warn("vsock: cannot accept connections any more: %s", strerror(-result));
			vsock->listen_slot = -1;
		}
		release(connection); /* accepts the next */
	} else {
		connection->registered = true;
		connection->stream.state = VSOCK_GREETING;
		connection->greeting_op.done = greeting_done;
		vsock_read_greeting(connection);
		vsock_accept_next(vsock);
	}
	virtio_device_unlock(&vsock->device);
}

void vsock_accept_next(struct vsock *vsock)
{
	struct vsock_connection *connection;
	struct io_uring_sqe *sqe;

	if (vsock->listen_slot < 0 || vsock->accepting != NULL)
		return;
	connection = get_connection(vsock);
	if (connection == NULL)
		return; /* clients wait in the socket's backlog; release() goes on */
	connection->stream.state = VSOCK_ACCEPTING;
	vsock->accepting = connection;
	vsock->accept_op.done = accepted;
	sqe = ring_prepare(vsock->ring);
	io_uring_prep_accept_direct(sqe, vsock->listen_slot, NULL, NULL, SOCK_NONBLOCK,
				    (unsigned)connection->slot);
	ring_commit(sqe, &vsock->accept_op);
}
