/*
 * Packets to the guest. Whoever has something to send queues up: a connection once, whatever it has.
 * vsock_rx_run() serves the queue as long as the guest has receive buffers: replies first, then one turn
 * a connection, so that none can keep the others waiting. Data is read from the socket straight into the
 * guest's buffers, as much as its credit allows; the headers are written when the length is known.
 * RWF_NOWAIT lets no read wait with buffers of the guest; where sockets do not take it (as in Linux 6.1),
 * there is a poll before each read.
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>

#include <linux/vm_sockets.h>

#include "virtio-mmio/vsock/vsock.h"

/* Linux takes the credit of the last packet that a socket hears, too, a RST or a SHUTDOWN of both directions: with
 * none, for what it has sent meanwhile, a program of the guest that waits for some and has not read everything would
 * not be woken by the end. What it sends then is answered by a RST. */
#define LAST_CREDIT UINT32_MAX

void vsock_send_later(struct vsock_connection *connection, unsigned pending)
{
	if (connection->stream.state == VSOCK_DRAINING)
		return;
	connection->pending |= pending;
	if (!vsock_list_holds(&connection->to_send))
		vsock_list_append(&connection->vsock->to_send, &connection->to_send);
}

/* Sends a packet without data. The pool has a buffer. */
static void send_header(struct vsock *vsock, const struct virtio_vsock_hdr *header)
{
	struct rx_buffer *buffer = rx_pool_take(&vsock->pool);

	iov_write(&buffer->parts, header, sizeof(*header));
	virtqueue_push(&vsock->device.queues[VSOCK_RX], buffer->head, VSOCK_HEADER_BYTES);
	rx_pool_put(&vsock->pool, buffer);
	vsock_signal_later(vsock);
}

bool vsock_reply_reset(struct vsock *vsock, const struct virtio_vsock_hdr *to)
{
	unsigned index = (vsock->first_reply + vsock->n_replies) % VSOCK_MAX_REPLIES;

	if (vsock->n_replies == VSOCK_MAX_REPLIES)
		return false;
	vsock->n_replies++;
	vsock->replies[index] = (struct virtio_vsock_hdr){
		.src_cid = VMADDR_CID_HOST,
		.dst_cid = vsock->config.guest_cid,
		.src_port = to->dst_port,
		.dst_port = to->src_port,
		.type = to->type,
		.op = VIRTIO_VSOCK_OP_RST,
		.buf_alloc = LAST_CREDIT,
	};
	return true;
}

static void send_replies(struct vsock *vsock)
{
	while (vsock->n_replies > 0 && vsock->pool.n_ready > 0) {
		send_header(vsock, &vsock->replies[vsock->first_reply]);
		vsock->first_reply = (vsock->first_reply + 1) % VSOCK_MAX_REPLIES;
		vsock->n_replies--;
	}
}

static void send_packet(struct vsock_connection *connection, uint16_t op, uint32_t flags)
{
	struct virtio_vsock_hdr header;

	vsock_stream_header(&connection->stream, &header, connection->vsock->config.guest_cid, op,
			    flags, 0);
	if (op == VIRTIO_VSOCK_OP_RST || flags == VSOCK_SHUTDOWN_BOTH)
		header.buf_alloc = LAST_CREDIT;
	send_header(connection->vsock, &header);
}

/* Sends one of the pending packets; false if there is none. */
static bool send_pending(struct vsock_connection *connection)
{
	static const struct {
		unsigned pending;
		uint16_t op;
	} packets[] = {
		{ VSOCK_PENDING_RST, VIRTIO_VSOCK_OP_RST },
		{ VSOCK_PENDING_REQUEST, VIRTIO_VSOCK_OP_REQUEST },
		{ VSOCK_PENDING_RESPONSE, VIRTIO_VSOCK_OP_RESPONSE },
		{ VSOCK_PENDING_CREDIT_UPDATE, VIRTIO_VSOCK_OP_CREDIT_UPDATE },
		{ VSOCK_PENDING_CREDIT_REQUEST, VIRTIO_VSOCK_OP_CREDIT_REQUEST },
		{ VSOCK_PENDING_SHUTDOWN, VIRTIO_VSOCK_OP_SHUTDOWN },
	};

	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
		if (!(connection->pending & packets[i].pending))
			continue;
		connection->pending &= ~packets[i].pending;
		send_packet(connection, packets[i].op,
			    packets[i].op == VIRTIO_VSOCK_OP_SHUTDOWN
				    ? connection->stream.host_shutdown
				    : 0);
		return true;
	}
	return false;
}

static struct vsock_receive *free_receive(struct vsock *vsock)
{
	for (unsigned i = 0; i < VSOCK_MAX_RECEIVES; i++)
		if (vsock->receives[i].connection == NULL)
			return &vsock->receives[i];
	return NULL;
}

/* What of a buffer lies behind its header. The parts have room for a chain as long as any. */
static void add_parts(struct vsock_receive *receive, struct rx_buffer *buffer, uint32_t limit)
{
	uint32_t left = buffer->bytes - VSOCK_HEADER_BYTES;

	if (left > limit)
		left = limit;
	receive->capacity += left;
	receive->buffers[receive->n_buffers++] = buffer;
	iov_append(&receive->data, &buffer->parts, VSOCK_HEADER_BYTES, left);
}

static void submit_receive(struct vsock_connection *connection, struct vsock_receive *receive)
{
	struct vsock *vsock = connection->vsock;
	uint32_t credit = vsock_stream_credit(&connection->stream);
	struct io_uring_sqe *sqe = ring_prepare(vsock->ring);

	receive->n_buffers = 0;
	receive->data = (struct iov){ receive->parts, 0 };
	receive->capacity = 0;
	do
		add_parts(receive, rx_pool_take(&vsock->pool), credit - receive->capacity);
	while (receive->capacity < credit && receive->n_buffers < VSOCK_RECEIVE_BUFFERS &&
	       vsock->pool.ready != NULL &&
	       receive->data.n + vsock->pool.ready->parts.n <= VSOCK_RECEIVE_PARTS);
	receive->connection = connection;
	receive->generation = vsock->device.generation;
	receive->nowait = !vsock->no_nowait;
	io_uring_prep_readv2(sqe, connection->fd, receive->parts, receive->data.n, (uint64_t)-1,
			     receive->nowait ? RWF_NOWAIT : 0);
	ring_commit(sqe, &receive->op);
	connection->receiving = true;
	connection->ops_in_flight++;
	vsock->device.in_flight++;
}

/* Gives `length` bytes to the guest, a packet a buffer, and the other buffers back to the pool. */
static void deliver(struct vsock_receive *receive, uint32_t length)
{
	struct vsock_connection *connection = receive->connection;
	struct vsock *vsock = connection->vsock;
	struct virtqueue *queue = &vsock->device.queues[VSOCK_RX];
	uint16_t used = 0;

	for (; length > 0; used++) {
		struct rx_buffer *buffer = receive->buffers[used];
		uint32_t room = buffer->bytes - VSOCK_HEADER_BYTES;
		uint32_t n = length < room ? length : room;
		struct virtio_vsock_hdr header;
		vsock_stream_header(&connection->stream, &header, vsock->config.guest_cid,
				    VIRTIO_VSOCK_OP_RW, 0, n);
		iov_write(&buffer->parts, &header, sizeof(header));
		virtqueue_put(queue, used, buffer->head, VSOCK_HEADER_BYTES + n);
		rx_pool_put(&vsock->pool, buffer);
		length -= n;
	}
	virtqueue_publish(queue, used);
	for (unsigned i = receive->n_buffers; i > used; i--)
		rx_pool_untake(&vsock->pool, receive->buffers[i - 1]);
	vsock_signal_later(vsock);
}

static void received(struct vsock_connection *connection, int32_t result, bool nowait)
{
	struct vsock *vsock = connection->vsock;

	connection->receiving = false;
	if (result > 0)
		connection->in_vain = 0;
	if (result == -EOPNOTSUPP && nowait)
		vsock->no_nowait = true, result = -EAGAIN;
	if (result > 0 && vsock->no_nowait)
		result = -EAGAIN; /* there may be more, but nobody knows */
	if (result > 0) {
		vsock_send_later(connection, 0); /* there may be more: after the others */
		vsock_look_at_hang_up(connection);
	} else if (result == 0) {
		vsock_host_has_ended(connection);
	} else if (result == -EAGAIN || result == -EINTR) {
		connection->readable = false;
		vsock_poll_in_again(connection);
	} else {
		vsock_end(connection, true);
	}
}

static void receive_done(struct ring_op *op, int32_t result)
{
	struct vsock_receive *receive = (struct vsock_receive *)op;
	struct vsock_connection *connection = receive->connection;
	struct vsock *vsock = connection->vsock;
	struct virtio_device *device = &vsock->device;

	virtio_device_lock(device);
	device->in_flight--;
	if (receive->generation == device->generation && virtio_device_is_live(device))
		deliver(receive, connection->stream.state == VSOCK_ESTABLISHED && result > 0
					 ? (uint32_t)result
					 : 0);
	receive->connection = NULL;
	if (vsock_op_done(connection))
		received(connection, result, receive->nowait);
	if (device->in_flight == 0)
		virtio_device_drained(device);
	vsock_rx_run(vsock);
	virtio_device_unlock(device);
}

static void poll_in_done(struct ring_op *op, int32_t result)
{
	struct vsock_connection *connection = CONNECTION_OF(op, poll_in_op);
	struct vsock *vsock = connection->vsock;

	virtio_device_lock(&vsock->device);
	connection->polling_in = false;
	if (vsock_op_done(connection)) {
		if (connection->stream.state == VSOCK_GREETING) {
			vsock_read_greeting(connection);
		} else if (connection->at_end) {
			vsock_tell_end(connection, result);
		} else if (!(connection->stream.guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV) &&
			   vsock_is_drained(connection, result)) {
			vsock_host_is_gone(connection,
					   result); /* no buffer of the guest is needed */
		} else {
			connection->readable = true; /* an error or an end shows in the read */
			vsock_send_later(connection, 0);
		}
		vsock_rx_run(vsock);
	}
	virtio_device_unlock(&vsock->device);
}

void vsock_poll_in(struct vsock_connection *connection)
{
	struct io_uring_sqe *sqe;

	if (connection->polling_in)
		return;
	sqe = ring_prepare(connection->vsock->ring);
	io_uring_prep_poll_add(sqe, connection->fd, POLLIN);
	connection->poll_in_op.done = poll_in_done;
	ring_commit(sqe, &connection->poll_in_op);
	connection->polling_in = true;
	connection->ops_in_flight++;
}

/* One turn of a connection. The pool has a buffer. False: it must wait for a read to come back. */
static bool serve(struct vsock_connection *connection)
{
	struct vsock_receive *receive;

	if (send_pending(connection)) {
		vsock_send_later(connection, 0);
		return true;
	}
	if (connection->stream.state == VSOCK_ESTABLISHED && connection->readable &&
	    !connection->receiving &&
	    !(connection->stream.guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV)) {
		if (vsock_stream_credit(&connection->stream) == 0) {
			/* The guest's next packet with credit comes back here. */
			if (!connection->asked_credit)
				vsock_send_later(connection, VSOCK_PENDING_CREDIT_REQUEST);
			connection->asked_credit = true;
			return true;
		}
		receive = free_receive(connection->vsock);
		if (receive == NULL) {
			vsock_send_later(connection, 0);
			return false;
		}
		submit_receive(connection, receive);
	}
	return true;
}

/* As long as there is something to send, and the guest has buffers. */
static void serve_all(struct vsock *vsock)
{
	struct virtqueue *queue = &vsock->device.queues[VSOCK_RX];
	struct vsock_link *first;

	if (!virtio_device_is_live(&vsock->device) || !queue->ready)
		return;
	virtqueue_disable_kicks(queue);
	for (;;) {
		if (!rx_pool_fill(&vsock->pool, queue, VSOCK_HEADER_BYTES + 1,
				  VSOCK_HEADER_BYTES + VSOCK_PACKET_BYTES)) {
			virtio_device_break(&vsock->device);
			return;
		}
		send_replies(vsock);
		while ((first = vsock_list_first(&vsock->to_send)) && vsock->pool.n_ready > 0) {
			struct vsock_connection *connection = CONNECTION_OF(first, to_send);
			vsock_list_remove(first);
			bool go_on = serve(connection);
			vsock_release_if_over(connection);
			if (!go_on)
				return; /* receive_done() goes on */
		}
		if (first == NULL && vsock->n_replies == 0)
			break;
		if (rx_pool_is_exhausted(&vsock->pool))
			break; /* a driver that offers heads twice: receive_done() goes on */
		if (vsock->pool.n_ready == 0 && !virtqueue_enable_kicks(queue))
			break; /* the driver's next kick goes on */
	}
	if (vsock->tx_stalled && vsock->n_replies < VSOCK_MAX_REPLIES)
		virtio_device_kick_again(&vsock->device, VSOCK_TX);
}

void vsock_rx_run(struct vsock *vsock)
{
	vsock_drop_old(vsock);
	serve_all(vsock);
	vsock_accept_next(vsock); /* if a departed one has made room; the guest was told first */
}

void vsock_rx_init(struct vsock *vsock)
{
	for (unsigned i = 0; i < VSOCK_MAX_RECEIVES; i++)
		vsock->receives[i].op.done = receive_done;
}
