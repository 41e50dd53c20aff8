/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/net_stream.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "host/container_of.h"

#define LENGTH_BYTES 4u
#define HEADER_BYTES ((uint32_t)sizeof(struct virtio_net_hdr_v1))
/* An Ethernet header: a peer may take a shorter frame for a broken stream. */
#define MIN_FRAME_BYTES 14u

static struct __kernel_timespec reconnect_pause = { .tv_sec = 1 };

static struct virtio_device *device_of(const struct net_stream *stream)
{
	return stream->link->device;
}

struct net_direction {
	unsigned events; /* that a poll waits for */
	void (*start)(struct net_stream *stream);
	void (*moved)(struct net_stream *stream, uint32_t bytes);
};

static void pause_before_connect(struct net_stream *stream)
{
	struct io_uring_sqe *sqe = ring_prepare(device_of(stream)->ring);

	io_uring_prep_timeout(sqe, &reconnect_pause, 0, 0);
	ring_commit(sqe, &stream->pause_op);
}

/* When nothing of it is on the ring any more. */
static void close_lost(struct net_stream *stream)
{
	struct net_half *in = &stream->in, *out = &stream->out;

	if (in->under_way || out->under_way || stream->socket->fd < 0)
		return;
	frame_socket_close(stream->socket);
	in->from = in->to = out->from = out->to = 0;
	if (stream->socket->path != NULL)
		pause_before_connect(stream);
}

/* The link goes down. What is under way comes back, because the socket has ended. */
static void lose(struct net_stream *stream, const char *news)
{
	if (stream->link->down)
		return;
	net_link_set(stream->link, false, news);
	shutdown(stream->socket->fd, SHUT_RDWR);
	if (stream->starved && virtio_device_is_live(device_of(stream)))
		net_stream_take(stream);
	close_lost(stream);
}

/* The length of the next frame, if it has come whole; 0: none has. */
static uint32_t whole_frame(struct net_stream *stream)
{
	const struct net_half *in = &stream->in;
	struct iovec parts[2];
	uint32_t length;

	if (stream->link->down || in->to - in->from < LENGTH_BYTES)
		return 0;
	struct iov span = { parts, byte_ring_span(&in->buffer, in->from, in->to, parts) };
	iov_read(&span, &length, LENGTH_BYTES);
	length = be32toh(length);
	if (length == 0 || length > NET_STREAM_MAX_FRAME_BYTES) {
		lose(stream, "the peer has sent a length that no frame has");
		return 0;
	}
	return in->to - in->from >= LENGTH_BYTES + length ? length : 0;
}

/* A frame that the guest's buffers cannot hold is dropped, as on a wire. */
static void deliver_frame(struct net_stream *stream, uint32_t length)
{
	struct virtio_device *device = device_of(stream);
	struct virtio_net_hdr_v1 header = { 0 };
	struct net_frame *frame = &stream->frame;
	struct net_half *in = &stream->in;
	uint32_t start = in->from + LENGTH_BYTES, at = HEADER_BYTES;
	struct iovec parts[2];

	in->from = start + length;
	device->count.requests++;
	net_frame_take(frame, device, &stream->pool, HEADER_BYTES + length);
	if (length < MIN_FRAME_BYTES || frame->bytes < HEADER_BYTES + length) {
		device->count.errors++;
		net_frame_put_back(frame, &stream->pool);
		return;
	}
	device->count.in_bytes += length;
	for (unsigned i = 0, n = byte_ring_span(&in->buffer, start, in->from, parts); i < n; i++) {
		iov_write_at(&frame->data, at, parts[i].iov_base, parts[i].iov_len);
		at += (uint32_t)parts[i].iov_len;
	}
	net_frame_deliver(frame, device, &stream->pool, &header, HEADER_BYTES + length);
}

static void deliver(struct net_stream *stream)
{
	struct virtio_device *device = device_of(stream);
	struct virtqueue *queue = &device->queues[NET_RX];
	uint32_t length;

	if (!queue->ready || !virtio_device_is_live(device))
		return;
	virtqueue_disable_kicks(queue);
	do {
		if (!rx_pool_fill(&stream->pool, queue, HEADER_BYTES, NET_MAX_FRAME_BYTES)) {
			virtio_device_break(device);
			return;
		}
		while ((length = whole_frame(stream)) > 0 &&
		       net_frame_has_room(device, &stream->pool, HEADER_BYTES + length))
			deliver_frame(stream, length);
		if (length == 0)
			return;
	} while (virtqueue_enable_kicks(queue));
}

/* Prepares a read or a write of what lies there, or a poll. */
static void begin(struct net_stream *stream, struct net_half *half, uint32_t from, uint32_t to)
{
	struct io_uring_sqe *sqe = ring_prepare(device_of(stream)->ring);
	struct byte_ring *buffer = &half->buffer;
	unsigned n = byte_ring_span(buffer, from, to, buffer->parts);
	int fd = stream->socket->fd;

	if (half->polls)
		io_uring_prep_poll_add(sqe, fd, half->direction->events);
	else if (half == &stream->in)
		io_uring_prep_readv(sqe, fd, buffer->parts, n, (uint64_t)-1);
	else
		io_uring_prep_writev(sqe, fd, buffer->parts, n, (uint64_t)-1);
	ring_commit(sqe, &half->op);
	half->under_way = true;
}

static void read_more(struct net_stream *stream)
{
	struct net_half *in = &stream->in;

	if (in->under_way || whole_frame(stream) > 0 || stream->link->down)
		return;
	if (in->from == in->to) /* few pages for little traffic */
		in->from = in->to = 0;
	begin(stream, in, in->to, in->from + BYTE_RING_BYTES);
}

static void bytes_read(struct net_stream *stream, uint32_t bytes)
{
	stream->in.to += bytes;
	deliver(stream);
}

static void write_more(struct net_stream *stream)
{
	struct net_half *out = &stream->out;

	if (!out->under_way && !stream->link->down && out->from != out->to)
		begin(stream, out, out->from, out->to);
}

static void bytes_written(struct net_stream *stream, uint32_t bytes)
{
	struct net_half *out = &stream->out;

	out->from += bytes;
	if (out->from == out->to)
		out->from = out->to = 0;
	if (stream->starved && virtio_device_is_live(device_of(stream)))
		net_stream_take(stream);
}

static const struct net_direction inward = { POLLIN, read_more, bytes_read };
static const struct net_direction outward = { POLLOUT, write_more, bytes_written };

static const char *end_of(int32_t result)
{
	return result == 0 || result == -EPIPE || result == -ECONNRESET ? "the peer has left"
									: strerror(-result);
}

static void half_done(struct ring_op *op, int32_t result)
{
	struct net_half *half = container_of(op, struct net_half, op);
	struct net_stream *stream = half->stream;
	bool has_polled = half->polls;

	virtio_device_lock(device_of(stream));
	half->under_way = false;
	half->polls = !has_polled && (result == -EAGAIN || result == -EINTR);
	if (!has_polled && !half->polls && result > 0 && !stream->link->down)
		half->direction->moved(stream, (uint32_t)result);
	else if (!has_polled && !half->polls)
		lose(stream, end_of(result));
	half->direction->start(stream);
	if (stream->link->down)
		close_lost(stream);
	virtio_device_unlock(device_of(stream));
}

static void pause_is_over(struct ring_op *op, int32_t result)
{
	struct net_stream *stream = container_of(op, struct net_stream, pause_op);

	(void)result; /* ETIME */
	virtio_device_lock(device_of(stream));
	if (frame_socket_connect(stream->socket)) {
		net_link_set(stream->link, true, "the peer is back");
		read_more(stream);
	} else {
		pause_before_connect(stream);
	}
	virtio_device_unlock(device_of(stream));
}

static void take_frame(struct net_stream *stream)
{
	struct iov *data = &stream->chain.readable;
	uint64_t bytes = iov_bytes(data) - HEADER_BYTES; /* too many if there are fewer */
	struct device_counters *count = &device_of(stream)->count;
	struct net_half *out = &stream->out;
	uint32_t length = htobe32((uint32_t)bytes);

	count->requests++;
	if (stream->link->down || stream->chain.writable.n != 0 || bytes < MIN_FRAME_BYTES ||
	    bytes > NET_STREAM_MAX_FRAME_BYTES) {
		count->errors++;
		return;
	}
	count->out_bytes += bytes;
	byte_ring_keep(&out->buffer, out->to,
		       &(struct iov){ &(struct iovec){ &length, LENGTH_BYTES }, 1 });
	iov_skip(data, HEADER_BYTES);
	byte_ring_keep(&out->buffer, out->to + LENGTH_BYTES, data);
	out->to += LENGTH_BYTES + (uint32_t)bytes;
}

static bool has_room(const struct net_stream *stream)
{
	return stream->link->down ||
	       stream->out.to - stream->out.from <=
		       BYTE_RING_BYTES - LENGTH_BYTES - NET_STREAM_MAX_FRAME_BYTES;
}

void net_stream_take(struct net_stream *stream)
{
	struct virtio_device *device = device_of(stream);
	struct virtio_turn turn = virtio_turn_begin(device, NET_TX);

	while (has_room(stream) && virtio_turn_take(&turn, &stream->chain)) {
		take_frame(stream);
		virtqueue_push(&device->queues[NET_TX], stream->chain.head, 0);
		virtio_device_signal_later(device);
	}
	stream->starved = !has_room(stream);
	write_more(stream);
}

void net_stream_deliver(struct net_stream *stream)
{
	deliver(stream);
	read_more(stream);
}

void net_stream_start(struct net_stream *stream)
{
	read_more(stream);
}

void net_stream_reset(struct net_stream *stream)
{
	stream->starved = false;
	rx_pool_reset(&stream->pool);
}

static void init_half(struct net_stream *stream, struct net_half *half,
		      const struct net_direction *direction)
{
	half->direction = direction;
	half->stream = stream;
	half->op.done = half_done;
	half->buffer.bytes = half->bytes;
}

void net_stream_init(struct net_stream *stream, struct net_link *link, struct frame_socket *socket)
{
	stream->link = link;
	stream->socket = socket;
	stream->pause_op.done = pause_is_over;
	init_half(stream, &stream->in, &inward);
	init_half(stream, &stream->out, &outward);
	net_stream_reset(stream);
}
