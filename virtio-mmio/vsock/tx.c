/* Packets from the guest: what each asks for, and whether its connection may ask that now. */
#include <stdio.h>
#include <string.h>

#include <linux/vm_sockets.h>

#include "virtio-mmio/vsock/vsock.h"

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
	if (stream->host_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV) {
		/* Nobody reads it. It was sent before the guest knew; a program that waits for
		 * credit learns of the end when it has some. */
		stream->forwarded = stream->received;
		if (!(connection->pending & VSOCK_PENDING_SHUTDOWN))
			vsock_send_later(connection, VSOCK_PENDING_CREDIT_UPDATE);
		return false;
	}
	return vsock_send_data(connection, direct, position, length);
}

static void accepted_by_guest(struct vsock_connection *connection)
{
	int length = snprintf(connection->greeting, sizeof(connection->greeting), "OK %u\n",
			      connection->stream.host_port);

	connection->ok_line_bytes = (uint32_t)length;
	vsock_established(connection);
	vsock_tx_send(connection);
}

/* Linux waits 8 seconds for the end of what it has closed; a reader may be slower than that. */
static void end_by_guest(struct vsock_connection *connection)
{
	struct vsock_stream *stream = &connection->stream;

	if (stream->guest_shutdown == VSOCK_SHUTDOWN_BOTH &&
	    stream->received != stream->forwarded) {
		connection->pending = 0;
		stream->state = VSOCK_DRAINING;
		vsock_free_ports(connection);
	} else {
		vsock_end(connection, false);
	}
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
		end_by_guest(connection);
		return false;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		stream->guest_shutdown |= header->flags & VSOCK_SHUTDOWN_BOTH;
		if ((stream->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV) &&
		    stream->state != VSOCK_CONNECTING)
			vsock_end_input(connection);
		vsock_tx_send(connection);
		vsock_look_at_hang_up(connection);
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

	if (!iov_take(&direct->chain.readable, &header, sizeof(header)) ||
	    header.src_cid != vsock->config.guest_cid || header.dst_cid != VMADDR_CID_HOST)
		return false; /* nobody to answer to */
	connection = vsock_find(vsock, header.src_port, header.dst_port);
	if (header.type == VIRTIO_VSOCK_TYPE_STREAM) {
		if (connection != NULL) {
			if (header.len <= VSOCK_PACKET_BYTES &&
			    iov_trim(&direct->chain.readable, header.len))
				return packet_of_connection(connection, direct, &header);
			vsock_end(connection, true); /* the stream would miss bytes */
			return false;
		}
		if (header.op == VIRTIO_VSOCK_OP_REQUEST && vsock_connect(vsock, &header) != NULL)
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
		struct vsock_direct *direct = vsock_get_direct(vsock);
		/* Each packet may need a reply; a guest that does not take them waits. */
		vsock->tx_stalled = direct == NULL || vsock->n_replies == VSOCK_MAX_REPLIES;
		if (vsock->tx_stalled) {
			if (direct != NULL)
				vsock_put_direct(vsock, direct);
			return;
		}
		enum virtqueue_result result = virtqueue_pop(queue, &direct->chain);
		if (result != VIRTQUEUE_CHAIN)
			vsock_put_direct(vsock, direct);
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
			vsock_give_back(vsock, direct);
	}
	virtio_device_kick_again(&vsock->device, VSOCK_TX);
}
