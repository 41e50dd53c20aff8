/* The life of a connection: its socket, its ports, its end. */
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/listen_socket.h"
#include "virtio-mmio/vsock/hash.h"
#include "virtio-mmio/vsock/vsock.h"

static struct vsock_connection **bucket(struct vsock *vsock, uint32_t guest_port,
					uint32_t host_port)
{
	uint64_t hash = vsock_hash(vsock->port_key, (uint64_t)host_port << 32 | guest_port);

	return &vsock->by_port[hash % VSOCK_MAX_CONNECTIONS];
}

struct vsock_connection *vsock_find(struct vsock *vsock, uint32_t guest_port, uint32_t host_port)
{
	struct vsock_connection *at = *bucket(vsock, guest_port, host_port);

	while (at != NULL &&
	       (at->stream.guest_port != guest_port || at->stream.host_port != host_port))
		at = at->next_by_port;
	return at;
}

void vsock_insert(struct vsock_connection *connection)
{
	struct vsock_connection **head = bucket(connection->vsock, connection->stream.guest_port,
						connection->stream.host_port);

	connection->next_by_port = *head;
	*head = connection;
}

void vsock_free_ports(struct vsock_connection *connection)
{
	struct vsock_connection **at = bucket(connection->vsock, connection->stream.guest_port,
					      connection->stream.host_port);

	while (*at != NULL && *at != connection)
		at = &(*at)->next_by_port;
	if (*at != NULL)
		*at = connection->next_by_port;
}

static void close_socket(struct vsock_connection *connection)
{
	if (connection->fd >= 0)
		close(connection->fd);
	connection->fd = -1;
}

static void free_buffer(struct vsock_connection *connection)
{
	if (connection->stream.received != 0)
		madvise(connection->buffer, VSOCK_BUFFER_BYTES, MADV_DONTNEED);
}

/* The guest's next packet to it is one of no connection, and answered by a RST. */
static struct vsock_connection *take_departed(struct vsock *vsock)
{
	struct vsock_link *first = vsock_list_first(&vsock->departed);
	struct vsock_connection *connection;

	if (first == NULL)
		return NULL;
	connection = CONNECTION_OF(first, departed);
	vsock_list_remove(&connection->departed);
	vsock_list_remove(&connection->to_send);
	vsock_free_ports(connection);
	free_buffer(connection);
	return connection;
}

struct vsock_connection *vsock_get_connection(struct vsock *vsock)
{
	struct vsock_connection *connection = vsock->free_connections;
	unsigned index;

	if (connection != NULL)
		vsock->free_connections = connection->next_free;
	else if (vsock->fresh_connections < VSOCK_MAX_CONNECTIONS)
		connection = &vsock->connections[vsock->fresh_connections++];
	else
		connection = take_departed(vsock);
	if (connection == NULL)
		return NULL;
	index = (unsigned)(connection - vsock->connections);
	*connection = (struct vsock_connection){
		.vsock = vsock,
		.fd = -1,
		.buffer = vsock->buffers + (size_t)index * VSOCK_BUFFER_BYTES,
	};
	connection->poll_out_op.done = vsock_poll_out_done;
	connection->send_op.done = vsock_send_done;
	return connection;
}

/* What is sent out of band has its place in the stream, as any other byte: left out of it, a look at the
 * socket would not see what a poll sees. */
void vsock_set_socket(struct vsock_connection *connection, int fd)
{
	int inside = 1;

	connection->fd = fd;
	setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &inside, sizeof(inside));
	/* Its listener does, but has not always done so, or the host's program has another. */
	listen_socket_refuse_descriptors(fd);
}

void vsock_release(struct vsock_connection *connection)
{
	struct vsock *vsock = connection->vsock;

	close_socket(connection);
	free_buffer(connection);
	connection->stream.state = VSOCK_FREE;
	connection->next_free = vsock->free_connections;
	vsock->free_connections = connection;
	vsock_accept_next(vsock); /* if the pool was empty */
}

/* Whether nothing is wanted of the socket any more: the connection is ending, or the host's program is gone
 * and the guest is told of both ends. */
static bool is_over(const struct vsock_connection *connection)
{
	const struct vsock_stream *stream = &connection->stream;

	return stream->state == VSOCK_ENDING ||
	       (stream->state == VSOCK_ESTABLISHED && stream->host_shutdown == VSOCK_SHUTDOWN_BOTH);
}

void vsock_release_if_over(struct vsock_connection *connection)
{
	if (!is_over(connection) || connection->ops_in_flight > 0)
		return;
	if (connection->stream.state == VSOCK_ENDING && !vsock_list_holds(&connection->to_send)) {
		vsock_list_remove(&connection->departed);
		vsock_release(connection);
		return;
	}
	close_socket(connection);
	if (!vsock_list_holds(&connection->departed))
		vsock_list_append(&connection->vsock->departed, &connection->departed);
}

bool vsock_op_done(struct vsock_connection *connection)
{
	connection->ops_in_flight--;
	if (!is_over(connection))
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

static void write_shutdown_done(struct ring_op *op, int32_t result)
{
	(void)result; /* ENOTCONN: the other side was faster */
	shutdown_done(CONNECTION_OF(op, write_shutdown_op));
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

	io_uring_prep_shutdown(sqe, connection->fd, how);
	op->done = done;
	ring_commit(sqe, op);
	connection->ops_in_flight++;
}

void vsock_end_output(struct vsock_connection *connection)
{
	if (connection->output_ended || connection->fd < 0)
		return;
	connection->output_ended = true;
	submit_shutdown(connection, &connection->write_shutdown_op, write_shutdown_done, SHUT_WR);
}

static void waste_input(struct vsock_connection *connection);

static void input_wasted(struct ring_op *op, int32_t result)
{
	struct vsock_connection *connection = CONNECTION_OF(op, read_shutdown_op);
	struct virtio_device *device = &connection->vsock->device;

	virtio_device_lock(device);
	if (vsock_op_done(connection) && result > 0)
		waste_input(connection);
	virtio_device_unlock(device);
}

static void waste_input(struct vsock_connection *connection)
{
	struct vsock *vsock = connection->vsock;
	struct io_uring_sqe *sqe = ring_prepare(vsock->ring);

	io_uring_prep_recv(sqe, connection->fd, vsock->waste, sizeof(vsock->waste), MSG_DONTWAIT);
	connection->read_shutdown_op.done = input_wasted;
	ring_commit(sqe, &connection->read_shutdown_op);
	connection->ops_in_flight++;
}

static void read_shutdown_done(struct ring_op *op, int32_t result)
{
	struct vsock_connection *connection = CONNECTION_OF(op, read_shutdown_op);
	struct virtio_device *device = &connection->vsock->device;

	virtio_device_lock(device);
	if (vsock_op_done(connection) && result == 0)
		waste_input(connection);
	virtio_device_unlock(device);
}

void vsock_end_input(struct vsock_connection *connection)
{
	if (connection->input_ended || connection->fd < 0)
		return;
	connection->input_ended = true;
	submit_shutdown(connection, &connection->read_shutdown_op, read_shutdown_done, SHUT_RD);
}

void vsock_end(struct vsock_connection *connection, bool tell)
{
	if (connection->stream.state == VSOCK_ENDING)
		return;
	tell = tell && connection->stream.state != VSOCK_DRAINING;
	connection->stream.state = VSOCK_ENDING;
	connection->pending = 0;
	connection->stream.forwarded =
		connection->stream.received; /* nobody must wait for credit */
	vsock_free_ports(connection);
	vsock_stop_waiting(connection);
	if (tell)
		vsock_send_later(connection, VSOCK_PENDING_RST);
	else
		vsock_list_remove(&connection->to_send);
	if (connection->fd >= 0) /* ends the polls that are on the ring, too */
		submit_shutdown(connection, &connection->end_shutdown_op, end_shutdown_done,
				SHUT_RDWR);
	vsock_release_if_over(connection);
}

void vsock_poll_in_again(struct vsock_connection *connection)
{
	if (++connection->in_vain < VSOCK_MAX_IN_VAIN)
		vsock_poll_in(connection);
	else
		vsock_end(connection, connection->stream.state != VSOCK_GREETING);
}

void vsock_established(struct vsock_connection *connection)
{
	connection->stream.state = VSOCK_ESTABLISHED;
	vsock_poll_in(connection);
	/* What came before the socket was connected: */
	if (connection->stream.guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV)
		vsock_end_input(connection);
	if (connection->stream.guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND)
		vsock_tx_send(connection);
}
