/*
 * The guest's bytes on their way to the host's sockets. A stream's data goes to its socket straight from
 * guest memory if nothing of the stream waits, with RWF_NOWAIT, so that a reader who does not read keeps
 * no chain; what the socket does not take at once is copied to the connection's buffer, at the place that
 * its position in the stream has, and so is what comes meanwhile. The credit that the guest has is the
 * size of that buffer, so it always fits.
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "virtio-mmio/vsock/vsock.h"

struct vsock_direct *vsock_get_direct(struct vsock *vsock)
{
	struct vsock_direct *direct = vsock->free_directs;

	if (direct != NULL)
		vsock->free_directs = direct->next_free;
	else if (vsock->fresh_directs < VIRTQUEUE_MAX_SIZE)
		direct = &vsock->directs[vsock->fresh_directs++];
	return direct;
}

void vsock_put_direct(struct vsock *vsock, struct vsock_direct *direct)
{
	direct->next_free = vsock->free_directs;
	vsock->free_directs = direct;
}

void vsock_give_back(struct vsock *vsock, struct vsock_direct *direct)
{
	virtqueue_push(&vsock->device.queues[VSOCK_TX], direct->chain.head, 0);
	vsock_signal_later(vsock);
	vsock_put_direct(vsock, direct);
}

/* Moves all of `data` to the stream's position `position` of the connection's buffer, which has room for it. */
static void move_to_buffer(struct vsock_connection *connection, uint32_t position, struct iov *data)
{
	uint32_t start = position % VSOCK_BUFFER_BYTES;
	size_t n = iov_read(data, connection->buffer + start, VSOCK_BUFFER_BYTES - start);

	iov_skip(data, n);
	iov_read(data, connection->buffer, start);
}

/* flags: RWF_NOWAIT, or 0 to wait for the socket. A write that waits ends with vsock_end(). */
static void submit_send(struct vsock_connection *connection, const struct iovec *parts, unsigned n,
			int flags)
{
	struct io_uring_sqe *sqe = ring_prepare(connection->vsock->ring);

	io_uring_prep_writev2(sqe, connection->fd, parts, n, (uint64_t)-1, flags);
	ring_commit(sqe, &connection->send_op);
	connection->sending = true;
	connection->ops_in_flight++;
}

/* Linux forgets the connection at this SHUTDOWN: whoever waits there for credit must get it with it,
 * and so it comes only when nothing of the guest's data waits here. */
static void tell_gone(struct vsock_connection *connection)
{
	if (connection->stream.host_shutdown == VSOCK_SHUTDOWN_BOTH)
		return;
	connection->stream.host_shutdown = VSOCK_SHUTDOWN_BOTH;
	vsock_send_later(connection, VSOCK_PENDING_SHUTDOWN);
	vsock_release_if_over(connection);
}

/* The guest has said what it had to say, and the socket has taken it. */
static void all_is_sent(struct vsock_connection *connection)
{
	uint32_t guest = connection->stream.guest_shutdown;
	bool deaf = connection->stream.host_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV;

	if (guest == VSOCK_SHUTDOWN_BOTH || (deaf && (guest & VIRTIO_VSOCK_SHUTDOWN_RCV))) {
		vsock_end(connection, true);
	} else if (connection->gone) {
		tell_gone(connection);
	} else if ((guest & VIRTIO_VSOCK_SHUTDOWN_SEND) &&
		   connection->stream.state == VSOCK_ESTABLISHED) {
		vsock_end_output(connection); /* or when it is */
	}
}

/* Sends what the buffer holds, or acts on its being empty. The "OK" line comes before all data. */
void vsock_tx_send(struct vsock_connection *connection)
{
	struct vsock_stream *stream = &connection->stream;
	uint32_t length = stream->received - stream->forwarded;
	uint32_t start = stream->forwarded % VSOCK_BUFFER_BYTES;
	uint32_t first = VSOCK_BUFFER_BYTES - start < length ? VSOCK_BUFFER_BYTES - start : length;

	if (connection->sending || connection->polling_out)
		return;
	if (connection->ok_line_bytes > 0) {
		connection->send_parts[0] =
			(struct iovec){ connection->greeting, connection->ok_line_bytes };
		submit_send(connection, connection->send_parts, 1, 0);
	} else if (length > 0) {
		connection->send_parts[0] = (struct iovec){ connection->buffer + start, first };
		connection->send_parts[1] = (struct iovec){ connection->buffer, length - first };
		submit_send(connection, connection->send_parts, length > first ? 2 : 1, 0);
	} else {
		all_is_sent(connection);
	}
}

/* The host's program is gone or reads no more: what the guest sends it is dropped, but what it has
 * written still goes to the guest. */
static void host_is_deaf(struct vsock_connection *connection)
{
	struct vsock_stream *stream = &connection->stream;

	stream->forwarded = stream->received;
	connection->ok_line_bytes = 0;
	if (connection->gone && stream->state == VSOCK_ESTABLISHED) {
		tell_gone(connection);
		return;
	}
	if (stream->state != VSOCK_ESTABLISHED ||
	    (stream->host_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND)) {
		vsock_end(connection, true);
		return;
	}
	stream->host_shutdown |= VIRTIO_VSOCK_SHUTDOWN_RCV;
	vsock_send_later(connection, VSOCK_PENDING_SHUTDOWN);
	vsock_tx_send(connection);
}

/* The part of a direct send that the socket did not take moves to the buffer. */
static void finish_direct(struct vsock_connection *connection, uint32_t taken)
{
	struct vsock *vsock = connection->vsock;
	struct vsock_direct *direct = connection->direct;

	connection->direct = NULL;
	vsock->device.in_flight--;
	if (connection->generation == vsock->device.generation &&
	    taken < connection->direct_bytes) {
		iov_skip(&direct->chain.readable, taken);
		move_to_buffer(connection, connection->stream.forwarded + taken,
			       &direct->chain.readable);
	}
	if (connection->generation == vsock->device.generation &&
	    virtio_device_is_live(&vsock->device))
		vsock_give_back(vsock, direct);
	else
		vsock_put_direct(vsock, direct);
	if (vsock->device.in_flight == 0)
		virtio_device_drained(&vsock->device);
}

static void poll_out(struct vsock_connection *connection)
{
	struct io_uring_sqe *sqe;

	if (connection->half_ended) {
		vsock_wait_for_room(connection);
		return;
	}
	sqe = ring_prepare(connection->vsock->ring);
	io_uring_prep_poll_add(sqe, connection->fd, POLLOUT);
	ring_commit(sqe, &connection->poll_out_op);
	connection->polling_out = true;
	connection->ops_in_flight++;
}

/* nowait: it was asked with RWF_NOWAIT. */
static void sent(struct vsock_connection *connection, int32_t result, bool nowait)
{
	if (connection->ok_line_bytes > 0 && result >= 0) {
		result = (uint32_t)result == connection->ok_line_bytes ? 0 : -EIO;
		connection->ok_line_bytes = 0;
	}
	if (result == -EOPNOTSUPP && nowait) {
		connection->vsock->no_nowait = true;
		result = 0; /* what was direct is in the buffer now */
	}
	if (result > 0)
		connection->stream.forwarded += (uint32_t)result;
	if (vsock_stream_owes_update(&connection->stream))
		vsock_send_later(connection, VSOCK_PENDING_CREDIT_UPDATE);
	if (result == -EAGAIN || result == -EINTR) {
		poll_out(connection);
	} else if (result < 0) {
		host_is_deaf(connection);
	} else {
		vsock_tx_send(connection);
	}
}

void vsock_send_done(struct ring_op *op, int32_t result)
{
	struct vsock_connection *connection = CONNECTION_OF(op, send_op);
	struct vsock *vsock = connection->vsock;

	virtio_device_lock(&vsock->device);
	bool nowait = connection->direct != NULL;
	connection->sending = false;
	if (nowait)
		finish_direct(connection, result > 0 ? (uint32_t)result : 0);
	vsock_drop_old(vsock); /* before more of a stream is sent that a reset has cut */
	if (vsock_op_done(connection))
		sent(connection, result, nowait);
	vsock_rx_run(vsock);
	virtio_device_unlock(&vsock->device);
}

void vsock_poll_out_done(struct ring_op *op, int32_t result)
{
	struct vsock_connection *connection = CONNECTION_OF(op, poll_out_op);
	struct vsock *vsock = connection->vsock;

	virtio_device_lock(&vsock->device);
	connection->polling_out = false;
	if (vsock_op_done(connection)) {
		if (result > 0 && !(result & (POLLOUT | POLLHUP | POLLERR)))
			vsock_wait_for_room(connection);
		else
			vsock_tx_send(connection);
	}
	vsock_rx_run(vsock);
	virtio_device_unlock(&vsock->device);
}

bool vsock_send_data(struct vsock_connection *connection, struct vsock_direct *direct,
		     uint32_t position, uint32_t length)
{
	struct vsock_stream *stream = &connection->stream;

	if (connection->vsock->no_nowait || connection->sending || connection->polling_out ||
	    position != stream->forwarded) {
		move_to_buffer(connection, position, &direct->chain.readable);
		vsock_tx_send(connection);
		return false;
	}
	connection->direct = direct;
	connection->direct_bytes = length;
	connection->generation = connection->vsock->device.generation;
	connection->vsock->device.in_flight++;
	submit_send(connection, direct->chain.readable.parts, direct->chain.readable.n, RWF_NOWAIT);
	return true;
}
