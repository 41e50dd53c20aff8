/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/vsock/connection.h"

#include <errno.h>
#include <poll.h>

#include "host/container_of.h"
#include "host/text.h"

static struct vsock_connection *connection_of(struct vsock_socket *socket)
{
	return container_of(socket, struct vsock_connection, socket);
}

void vsock_connections_open(struct vsock_connections *all, struct vsock_sockets *sockets,
			    struct vsock_target target)
{
	vsock_table_init(&all->table, all->places, sizeof(all->places[0]));
	vsock_list_init(&all->backlogs);
	all->sockets = sockets;
	all->target = target;
	all->buffers = vsock_buffers_open(VSOCK_MAX_CONNECTIONS);
}

static void free_buffer(struct vsock_connection *connection)
{
	if (connection->stream.received != 0)
		vsock_buffer_free(&connection->buffer);
}

struct vsock_connection *vsock_connection_get(struct vsock_connections *all)
{
	struct vsock_entry *entry = vsock_table_get(&all->table);
	struct vsock_connection *connection;

	if (entry == NULL)
		return NULL;
	connection = container_of(entry, struct vsock_connection, entry);
	free_buffer(connection); /* of the one that has lost its place */
	*connection = (struct vsock_connection){
		.all = all,
		.generation = all->generation,
		.buffer.bytes = all->buffers + (connection - all->places) * VSOCK_BUFFER_BYTES,
	};
	vsock_socket_open(&connection->socket, all->sockets, -1);
	return connection;
}

void vsock_connection_put(struct vsock_connection *connection)
{
	free_buffer(connection);
	connection->stream = (struct vsock_stream){ .state = VSOCK_FREE };
	vsock_table_put(&connection->all->table, &connection->entry);
}

/* Gives the place back, once nothing of it is on the ring and nothing is to be sent. Until then, waiting for the guest
 * alone, it keeps no socket, and its place only while no other needs it. */
static void release(struct vsock_connection *connection)
{
	struct vsock_entry *entry = &connection->entry;

	if (connection->socket.in_flight > 0)
		return;
	vsock_socket_close(&connection->socket);
	if (connection->stream.state == VSOCK_ENDING && !vsock_list_holds(&entry->to_send)) {
		vsock_list_remove(&entry->departed);
		vsock_connection_put(connection);
	} else {
		vsock_table_depart(&connection->all->table, entry);
	}
}

bool vsock_connection_goes_on(struct vsock_connection *connection)
{
	if (!vsock_stream_is_over(&connection->stream))
		return connection->stream.state != VSOCK_FREE &&
		       connection->generation == connection->all->generation;
	release(connection);
	return false;
}

/* For operations whose result says nothing. */
static void done(struct vsock_socket *socket, int32_t result)
{
	(void)result;
	vsock_connection_goes_on(connection_of(socket));
}

static void input_wasted(struct vsock_socket *socket, int32_t result)
{
	if (vsock_connection_goes_on(connection_of(socket)) && result > 0)
		vsock_socket_waste_input(socket, input_wasted);
}

static void input_ended(struct vsock_socket *socket, int32_t result)
{
	if (vsock_connection_goes_on(connection_of(socket)) && result == 0)
		vsock_socket_waste_input(socket, input_wasted);
}

static void polled_in(struct vsock_socket *socket, int32_t result)
{
	struct vsock_connection *connection = connection_of(socket);
	enum vsock_poll poll = VSOCK_POLL_DATA;

	if (result < 0)
		poll = VSOCK_POLL_FAILED;
	else if (result & POLLERR)
		poll = VSOCK_POLL_LEFT_UNREAD;
	else if (result & POLLHUP)
		poll = VSOCK_POLL_LEFT;
	if (vsock_connection_goes_on(connection))
		vsock_connection_act(connection, vsock_stream_polled(&connection->stream, poll));
}

static void hung_up(struct vsock_socket *socket, int32_t result)
{
	struct vsock_connection *connection = connection_of(socket);

	if (vsock_connection_goes_on(connection) && vsock_socket_has_hung_up(socket, result))
		vsock_connection_act(connection,
				     vsock_stream_hung_up(&connection->stream, result & POLLERR));
}

static void flushed(struct vsock_socket *socket, int32_t result)
{
	struct vsock_connection *connection = connection_of(socket);

	if (vsock_connection_goes_on(connection))
		vsock_connection_wrote(connection, result);
}

static void polled_out(struct vsock_socket *socket, int32_t result)
{
	struct vsock_connection *connection = connection_of(socket);

	if (!vsock_connection_goes_on(connection))
		return;
	if (vsock_socket_has_room(result))
		vsock_connection_act(connection, VSOCK_FLUSH);
	else if (!vsock_socket_epoll_out(socket))
		vsock_connection_act(connection, vsock_stream_end(&connection->stream, true));
}

/* The line comes whole or not at all. */
static int32_t wrote_ok_line(struct vsock_connection *connection, int32_t result)
{
	if (result >= 0) {
		result = (size_t)result == connection->ok.iov_len ? 0 : -EIO;
		connection->ok.iov_len = 0;
	}
	return result;
}

void vsock_connection_wrote(struct vsock_connection *connection, int32_t result)
{
	struct vsock_stream *stream = &connection->stream;

	if (connection->ok.iov_len > 0)
		result = wrote_ok_line(connection, result);
	if (result >= 0) {
		unsigned actions = vsock_stream_sent(stream, (uint32_t)result);
		if (actions != 0)
			vsock_connection_act(connection, actions);
	} else if (result != -EAGAIN && result != -EINTR) {
		connection->ok.iov_len = 0;
		vsock_connection_act(connection, vsock_stream_deaf(stream));
	} else if (!vsock_socket_poll_out(&connection->socket, polled_out)) {
		vsock_connection_act(connection, vsock_stream_end(stream, true));
	}
}

/* Sends the "OK" line or what the buffer holds. Returns the actions that follow if there is neither. */
static unsigned flush(struct vsock_connection *connection)
{
	struct vsock_stream *stream = &connection->stream;
	struct vsock_socket *socket = &connection->socket;
	struct byte_ring *buffer = &connection->buffer;

	if (vsock_socket_is_writing(socket))
		return 0;
	if (connection->ok.iov_len > 0) {
		vsock_socket_write(socket, &connection->ok, 1, false, flushed);
	} else if (stream->received != stream->forwarded) {
		unsigned n =
			byte_ring_span(buffer, stream->forwarded, stream->received, buffer->parts);
		vsock_socket_write(socket, buffer->parts, n, false, flushed);
	} else {
		return vsock_stream_flushed(stream);
	}
	return 0;
}

bool vsock_connection_send(struct vsock_connection *connection, uint32_t position, struct iov *data,
			   vsock_socket_done_fn *written)
{
	struct vsock_socket *socket = &connection->socket;

	if (position == connection->stream.forwarded && !vsock_socket_is_writing(socket) &&
	    !socket->sockets->no_nowait) {
		vsock_socket_write(socket, data->parts, data->n, true, written);
		return true;
	}
	byte_ring_keep(&connection->buffer, position, data);
	vsock_connection_act(connection, VSOCK_FLUSH);
	return false;
}

static void pause_is_over(struct vsock_socket *socket, int32_t result);

static void pause_before_try(struct vsock_connection *connection, unsigned ms)
{
	connection->pause = (struct __kernel_timespec){ .tv_nsec = ms * 1000000L };
	vsock_socket_pause(&connection->socket, &connection->pause, pause_is_over);
}

/* The next one does not try right here: a whole line would go through one inside the other. */
static void stop_waiting(struct vsock_connection *connection)
{
	struct vsock_waiter *next =
		vsock_backlog_leave(&connection->all->backlogs, &connection->waiter);

	if (next != NULL)
		pause_before_try(container_of(next, struct vsock_connection, waiter), 0);
}

/* The guest finds it no more. The end of the socket brings its polls back. */
static void end(struct vsock_connection *connection)
{
	struct vsock_table *table = &connection->all->table;

	vsock_table_remove(table, &connection->entry);
	stop_waiting(connection);
	if (connection->stream.pending != 0)
		vsock_table_send_later(table, &connection->entry);
	else
		vsock_list_remove(&connection->entry.to_send);
	vsock_socket_end(&connection->socket, done);
}

static void make_ok_line(struct vsock_connection *connection)
{
	int length = text_format(connection->ok_line, sizeof(connection->ok_line), "OK %u\n",
				 connection->stream.host_port);

	connection->ok = (struct iovec){ connection->ok_line, (size_t)length };
}

static unsigned act_on_socket(struct vsock_connection *connection, unsigned actions)
{
	struct vsock_socket *socket = &connection->socket;

	if ((actions & VSOCK_LOOK) && vsock_socket_is_drained(socket))
		actions |= vsock_stream_drained(&connection->stream);
	if (actions & VSOCK_WATCH)
		vsock_socket_poll_hang_up(socket, hung_up);
	if (actions & VSOCK_POLL_IN)
		vsock_socket_poll_in(socket, polled_in);
	if (actions & VSOCK_END_INPUT)
		vsock_socket_end_input(socket, input_ended);
	if ((actions & (VSOCK_FLUSH | VSOCK_END)) == VSOCK_FLUSH)
		actions |= flush(connection);
	if (actions & VSOCK_END_OUTPUT)
		vsock_socket_end_output(socket, done);
	return actions;
}

void vsock_connection_act(struct vsock_connection *connection, unsigned actions)
{
	if (actions & VSOCK_SAY_OK)
		make_ok_line(connection);
	if (actions & ~(unsigned)VSOCK_TELL)
		actions = act_on_socket(connection, actions);
	if (actions & VSOCK_TELL)
		vsock_table_send_later(&connection->all->table, &connection->entry);
	if (actions & VSOCK_FREE_PORTS)
		vsock_table_remove(&connection->all->table, &connection->entry);
	if (actions & VSOCK_END)
		end(connection);
	if (vsock_stream_is_over(&connection->stream))
		release(connection);
}

void vsock_connections_reset(struct vsock_connections *all)
{
	all->generation++;
	vsock_table_drop_replies(&all->table);
}

void vsock_connections_drop_old(struct vsock_connections *all)
{
	vsock_backlog_dissolve(&all->backlogs);
	for (unsigned i = 0; i < all->table.pool.fresh; i++) {
		struct vsock_connection *connection = &all->places[i];
		if (connection->stream.state == VSOCK_FREE ||
		    connection->generation == all->generation)
			continue;
		vsock_list_remove(&connection->entry.to_send);
		vsock_connection_act(connection, vsock_stream_end(&connection->stream, false));
	}
}

/* The listener's backlog is full. False: it has waited long enough. */
static bool wait_for_listener(struct vsock_connection *connection)
{
	switch (vsock_backlog_wait(&connection->all->backlogs, &connection->waiter)) {
	case VSOCK_BACKLOG_STAND:
		return true;
	case VSOCK_BACKLOG_PAUSE:
		pause_before_try(connection, connection->waiter.pause_ms);
		return true;
	default:
		return false;
	}
}

static void connected(struct vsock_socket *socket, int32_t result)
{
	struct vsock_connection *connection = connection_of(socket);
	struct vsock_stream *stream = &connection->stream;

	if (!vsock_connection_goes_on(connection))
		return;
	if (result == 0) {
		stop_waiting(connection);
		vsock_connection_act(connection, vsock_stream_connected(stream));
	} else if (result != -EAGAIN || !wait_for_listener(connection)) {
		vsock_connection_act(connection, vsock_stream_end(stream, true));
	}
}

static void try_to_connect(struct vsock_connection *connection)
{
	const struct vsock_target *target = &connection->all->target;
	struct vsock_socket *socket = &connection->socket;

	if (!vsock_target_is_launcher(target)) {
		vsock_socket_connect(socket, &connection->address, connected);
		return;
	}
	int32_t result = vsock_target_offer(target, connection->stream.host_port, &socket->fd);

	connected(socket, result);
}

static void pause_is_over(struct vsock_socket *socket, int32_t result)
{
	struct vsock_connection *connection = connection_of(socket);

	(void)result; /* ETIME */
	if (vsock_connection_goes_on(connection))
		try_to_connect(connection);
}

bool vsock_connection_connect(struct vsock_connections *all, const struct virtio_vsock_hdr *request)
{
	bool to_launcher = vsock_target_is_launcher(&all->target);
	struct vsock_connection *connection;

	if (vsock_target_is_nowhere(&all->target) || !(connection = vsock_connection_get(all)))
		return false;
	if (!to_launcher)
		connection->socket.fd =
			vsock_target_socket(&all->target, request->dst_port, &connection->address);
	if (!to_launcher && connection->socket.fd < 0) {
		vsock_connection_put(connection);
		return false;
	}
	connection->stream.state = VSOCK_CONNECTING;
	connection->stream.guest_port = request->src_port;
	connection->stream.host_port = request->dst_port;
	vsock_stream_update_credit(&connection->stream, request);
	vsock_table_insert(&all->table, &connection->entry, request->src_port, request->dst_port);
	/* The launcher has one queue for all ports. */
	if (!vsock_backlog_join(&all->backlogs, &connection->waiter,
				to_launcher ? 0 : request->dst_port))
		try_to_connect(connection);
	return true;
}

void vsock_connection_request(struct vsock_connection *connection, int fd, uint32_t guest_port,
			      uint32_t host_port)
{
	struct vsock_connections *all = connection->all;

	connection->generation = all->generation;
	connection->socket.fd = fd;
	connection->stream.guest_port = guest_port;
	connection->stream.host_port = host_port;
	vsock_table_insert(&all->table, &connection->entry, guest_port, host_port);
	vsock_connection_act(connection, vsock_stream_request(&connection->stream));
}
