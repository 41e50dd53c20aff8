/*
 * Packets from the guest. A stream's data goes to its socket straight from guest memory if nothing of
 * the stream waits, with RWF_NOWAIT, so that a reader who does not read keeps no chain; what the socket does not take at once is copied to the connection's buffer, at
 * the place that its position in the stream has, and so is what comes meanwhile. The credit that the
 * guest has is the size of that buffer, so it always fits.
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/vm_sockets.h>

#include "virtio-mmio/vsock.h"

#define SHUTDOWN_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

#define CONNECTION_OF(op, member)                                                                  \
	((struct vsock_connection *)((char *)(op)-offsetof(struct vsock_connection, member)))

static struct vsock_direct *get_direct(struct vsock *vsock)
{
	struct vsock_direct *direct = vsock->free_directs;

	if (direct != NULL)
		vsock->free_directs = direct->next_free;
	else if (vsock->fresh_directs < VIRTQUEUE_MAX_SIZE)
		direct = &vsock->directs[vsock->fresh_directs++];
	return direct;
}

static void put_direct(struct vsock *vsock, struct vsock_direct *direct)
{
	direct->next_free = vsock->free_directs;
	vsock->free_directs = direct;
}

/* The guest may use the chain's buffers again. */
static void give_back(struct vsock *vsock, struct vsock_direct *direct)
{
	virtqueue_push(&vsock->device.queues[VSOCK_TX], direct->chain.head, 0);
	vsock_signal_later(vsock);
	put_direct(vsock, direct);
}

/* Drops `bytes` from the front of the chain's readable buffers; they are that long. */
static void skip_bytes(struct virtqueue_chain *chain, size_t bytes)
{
	unsigned gone = 0;

	while (gone < chain->n_readable && bytes >= chain->buffers[gone].iov_len)
		bytes -= chain->buffers[gone++].iov_len;
	chain->n_readable = (uint16_t)(chain->n_readable - gone);
	memmove(chain->buffers, chain->buffers + gone, chain->n_readable * sizeof(struct iovec));
	if (bytes > 0) {
		chain->buffers[0].iov_base = (uint8_t *)chain->buffers[0].iov_base + bytes;
		chain->buffers[0].iov_len -= bytes;
	}
}

/* Cuts the chain's readable buffers to `bytes` in all. False: they are shorter. */
static bool trim(struct virtqueue_chain *chain, size_t bytes)
{
	uint16_t n = 0;

	for (; bytes > 0; n++) {
		if (n == chain->n_readable)
			return false;
		if (chain->buffers[n].iov_len > bytes)
			chain->buffers[n].iov_len = bytes;
		bytes -= chain->buffers[n].iov_len;
	}
	chain->n_readable = n;
	return true;
}

/* Takes the header off the chain. False: there is none. */
static bool take_header(struct virtqueue_chain *chain, struct virtio_vsock_hdr *header)
{
	uint8_t *at = (uint8_t *)header;
	size_t left = sizeof(*header);

	for (unsigned i = 0; i < chain->n_readable && left > 0; i++) {
		size_t n = chain->buffers[i].iov_len < left ? chain->buffers[i].iov_len : left;
		memcpy(at, chain->buffers[i].iov_base, n);
		at += n;
		left -= n;
	}
	if (left > 0)
		return false;
	skip_bytes(chain, sizeof(*header));
	return true;
}

/* Copies to the stream's position `position` of the connection's buffer. */
static void copy_to_buffer(struct vsock_connection *connection, uint32_t position,
			   const struct virtqueue_chain *chain)
{
	for (unsigned i = 0; i < chain->n_readable; i++) {
		const uint8_t *from = chain->buffers[i].iov_base;
		size_t left = chain->buffers[i].iov_len;
		while (left > 0) {
			uint32_t start = position % VSOCK_BUFFER_BYTES;
			size_t n = VSOCK_BUFFER_BYTES - start < left ? VSOCK_BUFFER_BYTES - start
								     : left;
			memcpy(connection->buffer + start, from, n);
			from += n;
			position += (uint32_t)n;
			left -= n;
		}
	}
}

/* flags: RWF_NOWAIT, or 0 to wait for the socket. A write that waits ends with vsock_end(). */
static void submit_send(struct vsock_connection *connection, const struct iovec *parts, unsigned n,
			int flags)
{
	struct io_uring_sqe *sqe = ring_prepare(connection->vsock->ring);

	io_uring_prep_writev2(sqe, connection->slot, parts, n, (uint64_t)-1, flags);
	ring_commit(sqe, &connection->send_op);
	connection->sending = true;
	connection->ops_in_flight++;
}

/* Sends what the buffer holds, or acts on its being empty. */
void vsock_tx_send(struct vsock_connection *connection)
{
	struct vsock_stream *stream = &connection->stream;
	uint32_t length = stream->received - stream->forwarded;
	uint32_t start = stream->forwarded % VSOCK_BUFFER_BYTES;
	uint32_t first = VSOCK_BUFFER_BYTES - start < length ? VSOCK_BUFFER_BYTES - start : length;

	if (connection->sending || connection->polling_out)
		return;
	if (length > 0) {
		connection->send_parts[0] = (struct iovec){ connection->buffer + start, first };
		connection->send_parts[1] = (struct iovec){ connection->buffer, length - first };
		submit_send(connection, connection->send_parts, length > first ? 2 : 1, 0);
	} else if ((stream->guest_shutdown & SHUTDOWN_BOTH) == SHUTDOWN_BOTH) {
		vsock_end(connection, true);
	} else if (stream->guest_shutdown != 0 && !connection->shut_down) {
		connection->shut_down = true;
		vsock_shut_down(connection, stream->guest_shutdown == VIRTIO_VSOCK_SHUTDOWN_SEND
						    ? SHUT_WR
						    : SHUT_RD);
	}
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
		skip_bytes(&direct->chain, taken);
		copy_to_buffer(connection, connection->stream.forwarded + taken, &direct->chain);
	}
	if (connection->generation == vsock->device.generation &&
	    virtio_device_is_live(&vsock->device))
		give_back(vsock, direct);
	else
		put_direct(vsock, direct);
	if (vsock->device.in_flight == 0)
		virtio_device_drained(&vsock->device);
}

static void sent(struct vsock_connection *connection, int32_t result)
{
	if (connection->ok_line_bytes > 0 && result >= 0)
		result = (uint32_t)result == connection->ok_line_bytes ? 0 : -EIO;
	connection->ok_line_bytes = 0;
	if (result == -EOPNOTSUPP) {
		connection->vsock->no_nowait = true;
		result = 0; /* what was direct is in the buffer now */
	}
	if (result > 0)
		connection->stream.forwarded += (uint32_t)result;
	if (vsock_stream_owes_update(&connection->stream))
		vsock_send_later(connection, VSOCK_PENDING_CREDIT_UPDATE);
	if (result == -EAGAIN || result == -EINTR) {
		struct io_uring_sqe *sqe = ring_prepare(connection->vsock->ring);
		io_uring_prep_poll_add(sqe, connection->slot, POLLOUT);
		ring_commit(sqe, &connection->poll_out_op);
		connection->polling_out = true;
		connection->ops_in_flight++;
	} else if (result < 0) {
		vsock_end(connection, true); /* the host's program is gone */
	} else {
		vsock_tx_send(connection);
	}
}

void vsock_send_done(struct ring_op *op, int32_t result)
{
	struct vsock_connection *connection = CONNECTION_OF(op, send_op);
	struct vsock *vsock = connection->vsock;

	virtio_device_lock(&vsock->device);
	connection->sending = false;
	if (connection->direct != NULL)
		finish_direct(connection, result > 0 ? (uint32_t)result : 0);
	vsock_drop_old(vsock); /* before more of a stream is sent that a reset has cut */
	if (vsock_op_done(connection))
		sent(connection, result);
	vsock_rx_run(vsock);
	virtio_device_unlock(&vsock->device);
}

void vsock_poll_out_done(struct ring_op *op, int32_t result)
{
	struct vsock_connection *connection = CONNECTION_OF(op, poll_out_op);
	struct vsock *vsock = connection->vsock;

	(void)result;
	virtio_device_lock(&vsock->device);
	connection->polling_out = false;
	if (vsock_op_done(connection))
		vsock_tx_send(connection);
	virtio_device_unlock(&vsock->device);
}

/* Returns whether the chain is kept: it is being sent. */
static bool take_data(struct vsock_connection *connection, struct vsock_direct *direct,
		      uint32_t length)
{
	struct vsock_stream *stream = &connection->stream;
	uint32_t position = stream->received;

	if (length == 0)
		return false;
	if ((stream->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND) ||
	    !vsock_stream_receive(stream, length)) {
		vsock_end(connection, true); /* after its end, or more than its credit */
		return false;
	}
	if (connection->vsock->no_nowait || connection->sending || position != stream->forwarded) {
		copy_to_buffer(connection, position, &direct->chain);
		vsock_tx_send(connection);
		return false;
	}
	connection->direct = direct;
	connection->direct_bytes = length;
	connection->generation = connection->vsock->device.generation;
	connection->vsock->device.in_flight++;
	submit_send(connection, direct->chain.buffers, direct->chain.n_readable, RWF_NOWAIT);
	return true;
}

static void accepted_by_guest(struct vsock_connection *connection)
{
	int length = snprintf(connection->greeting, sizeof(connection->greeting), "OK %u\n",
			      connection->stream.host_port);

	connection->send_parts[0] = (struct iovec){ connection->greeting, (size_t)length };
	connection->ok_line_bytes = (uint32_t)length;
	vsock_established(connection);
	submit_send(connection, connection->send_parts, 1, 0);
}

static bool packet_of_connection(struct vsock_connection *connection, struct vsock_direct *direct,
				 const struct virtio_vsock_hdr *header)
{
	struct vsock_stream *stream = &connection->stream;

	vsock_stream_update_credit(stream, header);
	if (connection->readable && vsock_stream_credit(stream) > 0) {
		connection->asked_credit = false;
		vsock_send_later(connection, 0);
	}
	switch (header->op) {
	case VIRTIO_VSOCK_OP_RESPONSE:
		if (stream->state != VSOCK_REQUESTED)
			break;
		accepted_by_guest(connection);
		return false;
	case VIRTIO_VSOCK_OP_RST:
		vsock_end(connection, false);
		return false;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		stream->guest_shutdown |= header->flags & SHUTDOWN_BOTH;
		vsock_tx_send(connection);
		return false;
	case VIRTIO_VSOCK_OP_RW:
		if (stream->state != VSOCK_ESTABLISHED)
			break;
		return take_data(connection, direct, header->len);
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		vsock_send_later(connection, VSOCK_PENDING_CREDIT_UPDATE);
		return false;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		return false;
	default:
		break;
	}
	vsock_end(connection, true); /* not in this state */
	return false;
}

/* Returns whether the chain is kept. */
static bool handle_packet(struct vsock *vsock, struct vsock_direct *direct)
{
	struct vsock_connection *connection;
	struct virtio_vsock_hdr header;

	if (!take_header(&direct->chain, &header) || header.src_cid != vsock->config.guest_cid ||
	    header.dst_cid != VMADDR_CID_HOST)
		return false; /* nobody to answer to */
	connection = vsock_find(vsock, header.src_port, header.dst_port);
	if (header.type == VIRTIO_VSOCK_TYPE_STREAM) {
		if (connection != NULL && connection->stream.state != VSOCK_ENDING) {
			if (header.len <= VSOCK_PACKET_BYTES && trim(&direct->chain, header.len))
				return packet_of_connection(connection, direct, &header);
			vsock_end(connection, true); /* the stream would miss bytes */
			return false;
		}
		if (connection == NULL && header.op == VIRTIO_VSOCK_OP_REQUEST &&
		    vsock_connect(vsock, &header) != NULL)
			return false;
	}
	if (header.op != VIRTIO_VSOCK_OP_RST)
		vsock_reply_reset(vsock, &header); /* no such connection, or not any more */
	return false;
}

void vsock_tx_run(struct vsock *vsock)
{
	struct virtqueue *queue = &vsock->device.queues[VSOCK_TX];

	virtqueue_disable_kicks(queue);
	for (unsigned share = queue->size; share > 0; share--) {
		struct vsock_direct *direct = get_direct(vsock);
		/* Each packet may need a reply; a guest that does not take them waits. */
		vsock->tx_stalled = direct == NULL || vsock->n_replies == VSOCK_MAX_REPLIES;
		if (vsock->tx_stalled) {
			if (direct != NULL)
				put_direct(vsock, direct);
			return;
		}
		enum virtqueue_result result = virtqueue_pop(queue, &direct->chain);
		if (result != VIRTQUEUE_CHAIN)
			put_direct(vsock, direct);
		if (result == VIRTQUEUE_BROKEN) {
			virtio_device_break(&vsock->device);
			return;
		}
		if (result == VIRTQUEUE_EMPTY) {
			if (!virtqueue_enable_kicks(queue))
				return;
			continue;
		}
		if (!handle_packet(vsock, direct))
			give_back(vsock, direct);
	}
	virtio_device_kick_again(&vsock->device, VSOCK_TX);
}
