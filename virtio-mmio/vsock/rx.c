/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/vsock/rx.h"

#include "host/container_of.h"

static struct virtqueue *queue_of(struct vsock_rx *rx)
{
	return &rx->device->queues[rx->queue];
}

/* Sends a packet without data. The pool has a buffer. */
static void send_header(struct vsock_rx *rx, const struct virtio_vsock_hdr *header)
{
	struct rx_buffer *buffer = rx_pool_take(&rx->pool);

	iov_write(&buffer->parts, header, sizeof(*header));
	virtqueue_push(queue_of(rx), buffer->head, VSOCK_HEADER_BYTES);
	rx_pool_put(&rx->pool, buffer);
}

static struct vsock_receive *free_receive(struct vsock_rx *rx)
{
	for (unsigned i = 0; i < VSOCK_MAX_RECEIVES; i++)
		if (rx->receives[i].connection == NULL)
			return &rx->receives[i];
	return NULL;
}

/* Gives `length` bytes to the guest, one packet in each buffer, and the other buffers back to the pool. */
static void deliver(struct vsock_rx *rx, struct vsock_receive *receive, uint32_t length)
{
	struct vsock_stream *stream = &receive->connection->stream;
	struct virtqueue *queue = queue_of(rx);
	uint16_t used = 0;

	for (; length > 0; used++) {
		struct rx_buffer *buffer = receive->buffers[used];
		uint32_t room = buffer->bytes - VSOCK_HEADER_BYTES;
		uint32_t n = length < room ? length : room;
		struct virtio_vsock_hdr header;
		vsock_stream_header(stream, &header, rx->guest_cid, VIRTIO_VSOCK_OP_RW, 0, n);
		iov_write(&buffer->parts, &header, sizeof(header));
		virtqueue_put(queue, used, buffer->head, VSOCK_HEADER_BYTES + n);
		rx_pool_put(&rx->pool, buffer);
		rx->device->count.in_bytes += n;
		length -= n;
	}
	rx->device->count.requests += used;
	virtqueue_publish(queue, used);
	for (unsigned i = receive->n_buffers; i > used; i--)
		rx_pool_untake(&rx->pool, receive->buffers[i - 1]);
}

static void data_read(struct vsock_socket *socket, int32_t result)
{
	struct vsock_connection *connection = container_of(socket, struct vsock_connection, socket);
	struct vsock_receive *receive = connection->receive;
	struct vsock_rx *rx = receive->rx;
	struct virtio_device *device = rx->device;
	bool wanted = result > 0 && connection->stream.state == VSOCK_ESTABLISHED;

	device->in_flight--;
	if (virtio_device_awaits(device, receive->generation))
		deliver(rx, receive, wanted ? (uint32_t)result : 0);
	receive->connection = NULL;
	connection->receive = NULL;
	if (vsock_connection_goes_on(connection))
		vsock_connection_act(connection, vsock_stream_read(&connection->stream, result,
								   !socket->sockets->no_nowait));
	if (device->in_flight == 0)
		virtio_device_drained(device);
}

/* Adds the part of a buffer behind its header. The parts have room for any one chain. */
static void add_buffer(struct vsock_receive *receive, struct rx_buffer *buffer, uint32_t limit)
{
	uint32_t bytes = buffer->bytes - VSOCK_HEADER_BYTES;

	if (bytes > limit)
		bytes = limit;
	receive->capacity += bytes;
	receive->buffers[receive->n_buffers++] = buffer;
	iov_append(&receive->data, &buffer->parts, VSOCK_HEADER_BYTES, bytes);
}

static void read_data(struct vsock_rx *rx, struct vsock_connection *connection,
		      struct vsock_receive *receive)
{
	uint32_t credit = vsock_stream_credit(&connection->stream);

	receive->n_buffers = 0;
	receive->capacity = 0;
	receive->data = (struct iov){ receive->parts, 0 };
	do
		add_buffer(receive, rx_pool_take(&rx->pool), credit - receive->capacity);
	while (receive->capacity < credit && receive->n_buffers < VSOCK_RECEIVE_BUFFERS &&
	       rx->pool.ready != NULL &&
	       receive->data.n + rx->pool.ready->parts.n <= VSOCK_RECEIVE_PARTS);
	receive->rx = rx;
	receive->connection = connection;
	receive->generation = rx->device->generation;
	connection->receive = receive;
	connection->stream.receiving = true;
	rx->device->in_flight++;
	vsock_socket_read(&connection->socket, receive->data.parts, receive->data.n, data_read);
}

/* One turn of a connection. The pool has a buffer. False: it must wait for a read to come back. */
static bool serve(struct vsock_rx *rx, struct vsock_connection *connection)
{
	struct virtio_vsock_hdr header;
	struct vsock_receive *receive;

	switch (vsock_stream_next(&connection->stream)) {
	case VSOCK_NEXT_PACKET:
		vsock_stream_next_packet(&connection->stream, &header, rx->guest_cid);
		send_header(rx, &header);
		vsock_connection_act(connection, VSOCK_TELL); /* there may be more */
		return true;
	case VSOCK_NEXT_DATA:
		receive = free_receive(rx);
		if (receive != NULL)
			read_data(rx, connection, receive);
		else
			vsock_connection_act(connection, VSOCK_TELL);
		return receive != NULL;
	default:
		vsock_connection_act(connection, 0); /* its end may have waited for its turn */
		return true;
	}
}

/* False: the others must wait for a read to come back. */
static bool serve_all(struct vsock_rx *rx)
{
	const struct virtio_vsock_hdr *reply;
	struct vsock_entry *entry;

	while (rx->pool.n_ready > 0 && (reply = vsock_table_next_reply(&rx->all->table)) != NULL)
		send_header(rx, reply);
	while (rx->pool.n_ready > 0 && (entry = vsock_table_next_to_send(&rx->all->table)) != NULL)
		if (!serve(rx, vsock_connection_of(entry)))
			return false;
	return true;
}

void vsock_rx_run(struct vsock_rx *rx)
{
	struct virtqueue *queue = queue_of(rx);

	rx->kicked = false;
	if (!virtio_device_is_live(rx->device) || !queue->ready)
		return;
	virtqueue_disable_kicks(queue);
	for (;;) {
		if (!rx_pool_fill(&rx->pool, queue, VSOCK_HEADER_BYTES + 1,
				  VSOCK_HEADER_BYTES + VSOCK_PACKET_BYTES)) {
			virtio_device_break(rx->device);
			return;
		}
		if (!serve_all(rx) || !vsock_table_has_something_to_send(&rx->all->table))
			return;
		if (rx_pool_is_exhausted(&rx->pool))
			return; /* the driver offers heads twice; the next read that completes goes on */
		if (rx->pool.n_ready == 0 && !virtqueue_enable_kicks(queue))
			return; /* the driver's next kick goes on */
	}
}

void vsock_rx_reset(struct vsock_rx *rx)
{
	rx->kicked = false;
	rx_pool_reset(&rx->pool);
}

void vsock_rx_init(struct vsock_rx *rx, struct virtio_device *device, unsigned queue,
		   struct vsock_connections *all, uint64_t guest_cid)
{
	rx->device = device;
	rx->queue = queue;
	rx->all = all;
	rx->guest_cid = guest_cid;
	rx_pool_reset(&rx->pool);
}
