/*
 * How a host program ends its sending, and how it leaves. A read finds the end where it stands in the stream, and a poll
 * after it tells whether the program has left, too, or still reads. One poll a connection waits for its leaving beside that:
 * there is no read when the guest has no buffers, and none after the end. Whatever it asks for, a poll on the ring also comes
 * back when one direction has ended (POLLRDHUP); from then on an epoll waits, which does not, also for room in the socket.
 */
#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include <linux/sockios.h>

#include "virtio-mmio/vsock/vsock.h"

#define HALF_ENDED_SHARE 64u /* at a time */

/* A poll, which comes back at once, tells what end it is. */
void vsock_host_has_ended(struct vsock_connection *connection)
{
	connection->readable = false;
	connection->at_end = true;
	vsock_poll_in(connection);
}

void vsock_tell_end(struct vsock_connection *connection, int32_t events)
{
	if (connection->stream.host_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV) {
		vsock_end(connection, true); /* both directions have ended */
	} else if (events < 0 || (events & (POLLHUP | POLLERR))) {
		connection->gone = true;
		vsock_tx_send(connection);
	} else {
		connection->stream.host_shutdown |= VIRTIO_VSOCK_SHUTDOWN_SEND;
		vsock_send_later(connection, VSOCK_PENDING_SHUTDOWN);
	}
}

void vsock_host_is_gone(struct vsock_connection *connection, int32_t events)
{
	connection->readable = false;
	connection->at_end = true;
	if (events & POLLERR) /* it has not read everything */
		vsock_end(connection, true);
	else
		vsock_tell_end(connection, events);
}

bool vsock_is_drained(const struct vsock_connection *connection, int32_t events)
{
	int bytes;

	return events > 0 && (events & (POLLHUP | POLLERR)) &&
	       ioctl(connection->fd, SIOCINQ, &bytes) == 0 && bytes == 0;
}

void vsock_look_at_hang_up(struct vsock_connection *connection)
{
	if (connection->hang_up == 0 || connection->gone || connection->receiving ||
	    connection->stream.state != VSOCK_ESTABLISHED)
		return;
	if (connection->at_end || (connection->stream.guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV) ||
	    vsock_is_drained(connection, connection->hang_up))
		vsock_host_is_gone(connection, connection->hang_up);
}

/* Before the guest has answered there is nothing to be told. */
static void see_hang_up(struct vsock_connection *connection, int32_t events)
{
	connection->hang_up = events;
	if (connection->stream.state == VSOCK_REQUESTED)
		vsock_end(connection, !(connection->pending & VSOCK_PENDING_REQUEST));
	else
		vsock_look_at_hang_up(connection);
}

/* Without memory for it a hang-up is not seen: the socket stays until the guest has spoken. */
static void wait_on(struct vsock_connection *connection, uint32_t events)
{
	struct epoll_event event = {
		.events = EPOLLONESHOT | events,
		.data = { .ptr = connection },
	};
	int operation = connection->half_ended ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	connection->half_ended =
		epoll_ctl(connection->vsock->half_ended_fd, operation, connection->fd, &event) == 0;
}

void vsock_wait_for_room(struct vsock_connection *connection)
{
	connection->polling_out = connection->waits_for_room = true;
	wait_on(connection, EPOLLOUT);
	if (!connection->half_ended)
		vsock_end(connection, true);
}

static void half_ended_event(struct vsock_connection *connection, uint32_t events)
{
	enum vsock_state state = connection->stream.state;

	if (connection->waits_for_room) {
		connection->polling_out = connection->waits_for_room = false;
		if (state == VSOCK_ESTABLISHED || state == VSOCK_DRAINING)
			vsock_tx_send(connection);
	}
	if (events & (EPOLLHUP | EPOLLERR))
		see_hang_up(connection, (int32_t)events);
	else
		wait_on(connection, 0);
}

/* A place that is used again is not among them: the closed socket is not. */
static void half_ended_events(struct ring_op *op, int32_t result)
{
	struct vsock *vsock = (struct vsock *)((char *)op - offsetof(struct vsock, half_ended_op));
	struct epoll_event event;

	(void)result;
	virtio_device_lock(&vsock->device);
	vsock_drop_old(vsock);
	for (unsigned share = HALF_ENDED_SHARE;
	     share > 0 && epoll_wait(vsock->half_ended_fd, &event, 1, 0) == 1; share--)
		half_ended_event(event.data.ptr, event.events);
	vsock_watch_half_ended(vsock);
	vsock_rx_run(vsock);
	virtio_device_unlock(&vsock->device);
}

void vsock_watch_half_ended(struct vsock *vsock)
{
	struct io_uring_sqe *sqe = ring_prepare(vsock->ring);

	io_uring_prep_poll_add(sqe, vsock->half_ended_fd, POLLIN);
	vsock->half_ended_op.done = half_ended_events;
	ring_commit(sqe, &vsock->half_ended_op);
}

static void hung_up(struct ring_op *op, int32_t result)
{
	struct vsock_connection *connection = CONNECTION_OF(op, hang_up_op);
	struct vsock *vsock = connection->vsock;

	virtio_device_lock(&vsock->device);
	if (vsock_op_done(connection) && result > 0) {
		if (result & POLLHUP)
			see_hang_up(connection, result);
		else if (!connection->half_ended)
			wait_on(connection, 0);
		vsock_rx_run(vsock);
	}
	virtio_device_unlock(&vsock->device);
}

void vsock_watch_hang_up(struct vsock_connection *connection)
{
	struct io_uring_sqe *sqe = ring_prepare(connection->vsock->ring);

	io_uring_prep_poll_add(sqe, connection->fd, POLLHUP);
	connection->hang_up_op.done = hung_up;
	ring_commit(sqe, &connection->hang_up_op);
	connection->ops_in_flight++;
}
