/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/vsock/stream.h"

#include <errno.h>
#include <stddef.h>

#include <linux/vm_sockets.h>

/* Linux takes the credit even of a stream's last packet, a RST or a SHUTDOWN of both directions. With none, because
 * the guest has sent meanwhile, a guest program that waits for credit and has not read everything would not be woken by
 * the end. What it sends then is answered by a RST. */
#define LAST_CREDIT UINT32_MAX

void vsock_stream_update_credit(struct vsock_stream *stream, const struct virtio_vsock_hdr *header)
{
	stream->peer_buf_alloc = header->buf_alloc;
	stream->peer_fwd_cnt = header->fwd_cnt;
}

bool vsock_stream_receive(struct vsock_stream *stream, uint32_t bytes)
{
	uint32_t held = stream->received - stream->forwarded;

	if (bytes > VSOCK_BUFFER_BYTES - held)
		return false;
	stream->received += bytes;
	return true;
}

bool vsock_stream_owes_update(const struct vsock_stream *stream)
{
	return stream->forwarded - stream->told >= VSOCK_BUFFER_BYTES / 2;
}

/* The guest sends no more, or reads no more. */
static bool guest_has_ended(const struct vsock_stream *stream, uint32_t direction)
{
	return (stream->guest_shutdown & direction) != 0;
}

static unsigned tell(struct vsock_stream *stream, unsigned pending)
{
	if (stream->state == VSOCK_DRAINING)
		return 0;
	stream->pending |= pending;
	return VSOCK_TELL;
}

unsigned vsock_stream_end(struct vsock_stream *stream, bool telling)
{
	bool guest_knows = stream->state == VSOCK_DRAINING;

	if (stream->state == VSOCK_ENDING)
		return 0;
	stream->state = VSOCK_ENDING;
	stream->pending = telling && !guest_knows ? VSOCK_PENDING_RST : 0;
	stream->forwarded = stream->received; /* nobody must wait for credit */
	return VSOCK_END;
}

/* Linux forgets the connection at this SHUTDOWN: whoever waits there for credit must get it with it,
 * and so it comes only when nothing of the guest's data waits here. */
static unsigned tell_gone(struct vsock_stream *stream)
{
	if (stream->host_shutdown == VSOCK_SHUTDOWN_BOTH)
		return 0;
	stream->host_shutdown = VSOCK_SHUTDOWN_BOTH;
	return tell(stream, VSOCK_PENDING_SHUTDOWN);
}

/* A read has found the end; a poll after it tells whether the program has left, too. */
static unsigned tell_end(struct vsock_stream *stream, bool left)
{
	if (stream->host_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV)
		return vsock_stream_end(stream, true); /* both directions have ended */
	if (left) {
		stream->gone = true;
		return VSOCK_FLUSH;
	}
	stream->host_shutdown |= VIRTIO_VSOCK_SHUTDOWN_SEND;
	return tell(stream, VSOCK_PENDING_SHUTDOWN);
}

/* The program has left, and nothing is left to be read. */
static unsigned leave(struct vsock_stream *stream)
{
	stream->readable = false;
	stream->at_end = true;
	return stream->unread ? vsock_stream_end(stream, true) : tell_end(stream, true);
}

/* The guest has read something, or will read no more: it may have all now of a program that has left. */
static unsigned see_whether_left(struct vsock_stream *stream)
{
	if (!stream->hung_up || stream->gone || stream->receiving ||
	    stream->state != VSOCK_ESTABLISHED)
		return 0;
	if (stream->at_end || guest_has_ended(stream, VIRTIO_VSOCK_SHUTDOWN_RCV))
		return leave(stream);
	return VSOCK_LOOK;
}

unsigned vsock_stream_drained(struct vsock_stream *stream)
{
	return leave(stream);
}

unsigned vsock_stream_hung_up(struct vsock_stream *stream, bool unread)
{
	stream->hung_up = true;
	stream->unread = unread;
	/* A guest that has not heard of it hears nothing. */
	if (stream->state == VSOCK_REQUESTED)
		return vsock_stream_end(stream, !(stream->pending & VSOCK_PENDING_REQUEST));
	return see_whether_left(stream);
}

/* The direction that the guest ended before the socket was connected ends now. */
static unsigned establish(struct vsock_stream *stream)
{
	unsigned actions = VSOCK_POLL_IN;

	stream->state = VSOCK_ESTABLISHED;
	if (guest_has_ended(stream, VIRTIO_VSOCK_SHUTDOWN_RCV))
		actions |= VSOCK_END_INPUT;
	if (guest_has_ended(stream, VIRTIO_VSOCK_SHUTDOWN_SEND))
		actions |= VSOCK_FLUSH;
	return actions;
}

unsigned vsock_stream_request(struct vsock_stream *stream)
{
	stream->state = VSOCK_REQUESTED;
	return VSOCK_WATCH | tell(stream, VSOCK_PENDING_REQUEST);
}

unsigned vsock_stream_connected(struct vsock_stream *stream)
{
	return VSOCK_WATCH | tell(stream, VSOCK_PENDING_RESPONSE) | establish(stream);
}

static unsigned data_packet(struct vsock_stream *stream, uint32_t length)
{
	if (length == 0)
		return 0;
	if (guest_has_ended(stream, VIRTIO_VSOCK_SHUTDOWN_SEND) ||
	    !vsock_stream_receive(stream, length))
		return vsock_stream_end(stream, true); /* after its end, or more than its credit */
	if (!(stream->host_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV))
		return VSOCK_TAKE_DATA;
	/* Nobody reads it. It was sent before the guest knew; a program that waits for credit learns of the end when
	 * it has some. */
	stream->forwarded = stream->received;
	if (stream->pending & VSOCK_PENDING_SHUTDOWN)
		return 0;
	return tell(stream, VSOCK_PENDING_CREDIT_UPDATE);
}

/* Linux waits 8 seconds for the end of what it has closed; a reader may be slower than that. */
static unsigned reset_packet(struct vsock_stream *stream)
{
	if (stream->guest_shutdown != VSOCK_SHUTDOWN_BOTH || stream->received == stream->forwarded)
		return vsock_stream_end(stream, false);
	stream->pending = 0;
	stream->state = VSOCK_DRAINING;
	return VSOCK_FREE_PORTS;
}

static unsigned shutdown_packet(struct vsock_stream *stream, uint32_t flags)
{
	unsigned actions = VSOCK_FLUSH;

	stream->guest_shutdown |= flags & VSOCK_SHUTDOWN_BOTH;
	if (guest_has_ended(stream, VIRTIO_VSOCK_SHUTDOWN_RCV) && stream->state != VSOCK_CONNECTING)
		actions |= VSOCK_END_INPUT;
	return actions | see_whether_left(stream);
}

static unsigned packet_of_kind(struct vsock_stream *stream, const struct virtio_vsock_hdr *header)
{
	switch (header->op) {
	case VIRTIO_VSOCK_OP_RESPONSE:
		if (stream->state != VSOCK_REQUESTED)
			break;
		return VSOCK_SAY_OK | VSOCK_FLUSH | establish(stream);
	case VIRTIO_VSOCK_OP_RST:
		return reset_packet(stream);
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		return shutdown_packet(stream, header->flags);
	case VIRTIO_VSOCK_OP_RW:
		if (stream->state != VSOCK_ESTABLISHED)
			break;
		return data_packet(stream, header->len);
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		return tell(stream, VSOCK_PENDING_CREDIT_UPDATE);
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		return 0;
	default:
		break;
	}
	return vsock_stream_end(stream, true); /* not in this state */
}

unsigned vsock_stream_packet(struct vsock_stream *stream, const struct virtio_vsock_hdr *header)
{
	unsigned actions;

	vsock_stream_update_credit(stream, header);
	actions = packet_of_kind(stream, header);
	if (stream->readable && stream->state == VSOCK_ESTABLISHED &&
	    vsock_stream_credit(stream) > 0) {
		stream->asked_credit = false;
		actions |= VSOCK_TELL;
	}
	return actions;
}

unsigned vsock_stream_sent(struct vsock_stream *stream, uint32_t bytes)
{
	unsigned actions = 0;

	stream->forwarded += bytes;
	if (vsock_stream_owes_update(stream))
		actions = tell(stream, VSOCK_PENDING_CREDIT_UPDATE);
	if (stream->forwarded != stream->received)
		return actions | VSOCK_FLUSH;
	return actions | vsock_stream_flushed(stream);
}

/* The host program's data still goes to the guest. */
unsigned vsock_stream_deaf(struct vsock_stream *stream)
{
	stream->forwarded = stream->received;
	if (stream->gone && stream->state == VSOCK_ESTABLISHED)
		return tell_gone(stream);
	if (stream->state != VSOCK_ESTABLISHED ||
	    (stream->host_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND))
		return vsock_stream_end(stream, true);
	stream->host_shutdown |= VIRTIO_VSOCK_SHUTDOWN_RCV;
	return VSOCK_FLUSH | tell(stream, VSOCK_PENDING_SHUTDOWN);
}

unsigned vsock_stream_flushed(struct vsock_stream *stream)
{
	bool deaf = stream->host_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV;

	if (stream->guest_shutdown == VSOCK_SHUTDOWN_BOTH ||
	    (deaf && guest_has_ended(stream, VIRTIO_VSOCK_SHUTDOWN_RCV)))
		return vsock_stream_end(stream, true);
	if (stream->gone)
		return tell_gone(stream);
	if (guest_has_ended(stream, VIRTIO_VSOCK_SHUTDOWN_SEND) &&
	    stream->state == VSOCK_ESTABLISHED)
		return VSOCK_END_OUTPUT;
	return 0;
}

unsigned vsock_stream_polled(struct vsock_stream *stream, enum vsock_poll poll)
{
	if (stream->at_end)
		return tell_end(stream, poll != VSOCK_POLL_DATA);
	stream->readable = true; /* an error or an end shows in the read */
	if (poll == VSOCK_POLL_DATA || poll == VSOCK_POLL_FAILED)
		return tell(stream, 0);
	stream->hung_up = true;
	stream->unread = poll == VSOCK_POLL_LEFT_UNREAD;
	return tell(stream, 0) | see_whether_left(stream); /* no buffer of the guest is needed */
}

unsigned vsock_stream_read(struct vsock_stream *stream, int32_t result, bool more)
{
	stream->receiving = false;
	if (result > 0)
		stream->in_vain = 0;
	if (result > 0 && more)
		return tell(stream, 0) | see_whether_left(stream); /* after the others */
	if (result < 0 && result != -EAGAIN && result != -EINTR)
		return vsock_stream_end(stream, true);
	stream->readable = false;
	stream->at_end |= result == 0;
	if (result < 0 && ++stream->in_vain == VSOCK_MAX_IN_VAIN)
		return vsock_stream_end(stream, true);
	return VSOCK_POLL_IN;
}

enum vsock_next vsock_stream_next(struct vsock_stream *stream)
{
	bool reads = stream->state == VSOCK_ESTABLISHED && stream->readable && !stream->receiving &&
		     !guest_has_ended(stream, VIRTIO_VSOCK_SHUTDOWN_RCV);

	if (stream->pending != 0)
		return VSOCK_NEXT_PACKET;
	if (!reads)
		return VSOCK_NEXT_NOTHING;
	if (vsock_stream_credit(stream) > 0)
		return VSOCK_NEXT_DATA;
	if (stream->asked_credit) /* the guest's next packet with credit gives it a turn */
		return VSOCK_NEXT_NOTHING;
	stream->asked_credit = true;
	stream->pending = VSOCK_PENDING_CREDIT_REQUEST;
	return VSOCK_NEXT_PACKET;
}

void vsock_stream_next_packet(struct vsock_stream *stream, struct virtio_vsock_hdr *header,
			      uint64_t guest_cid)
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
	size_t i = 0;

	while (i < sizeof(packets) / sizeof(packets[0]) - 1 &&
	       !(stream->pending & packets[i].pending))
		i++;
	stream->pending &= ~packets[i].pending;
	bool shutdown = packets[i].op == VIRTIO_VSOCK_OP_SHUTDOWN;
	vsock_stream_header(stream, header, guest_cid, packets[i].op,
			    shutdown ? stream->host_shutdown : 0, 0);
	if (packets[i].op == VIRTIO_VSOCK_OP_RST ||
	    (shutdown && stream->host_shutdown == VSOCK_SHUTDOWN_BOTH))
		header->buf_alloc = LAST_CREDIT;
}

void vsock_stream_header(struct vsock_stream *stream, struct virtio_vsock_hdr *header,
			 uint64_t guest_cid, uint16_t op, uint32_t flags, uint32_t length)
{
	*header = (struct virtio_vsock_hdr){
		.src_cid = VMADDR_CID_HOST,
		.dst_cid = guest_cid,
		.src_port = stream->host_port,
		.dst_port = stream->guest_port,
		.len = length,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.flags = flags,
		.buf_alloc = VSOCK_BUFFER_BYTES,
		.fwd_cnt = stream->forwarded,
	};
	stream->told = stream->forwarded;
	stream->sent += length;
}

void vsock_stream_refuse(struct virtio_vsock_hdr *header, const struct virtio_vsock_hdr *packet)
{
	*header = (struct virtio_vsock_hdr){
		.src_cid = VMADDR_CID_HOST,
		.dst_cid = packet->src_cid,
		.src_port = packet->dst_port,
		.dst_port = packet->src_port,
		.type = packet->type,
		.op = VIRTIO_VSOCK_OP_RST,
		.buf_alloc = LAST_CREDIT,
	};
}
