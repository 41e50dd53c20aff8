/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/vsock/tx.h"

#include <linux/vm_sockets.h>

#include "host/container_of.h"
#include "virtio-mmio/iov.h"

static void give_back(struct vsock_packet *packet)
{
	struct vsock_tx *tx = packet->tx;

	virtqueue_push(&tx->device->queues[tx->queue], packet->chain.head, 0);
	pool_put(&tx->pool, packet);
}

/* The rest, which the socket has not taken, moves to the buffer. */
static void data_written(struct vsock_socket *socket, int32_t result)
{
	struct vsock_connection *connection = container_of(socket, struct vsock_connection, socket);
	struct vsock_packet *packet = connection->packet;
	struct vsock_tx *tx = packet->tx;
	struct virtio_device *device = tx->device;
	uint32_t taken = result > 0 ? (uint32_t)result : 0;
	bool same_driver = packet->generation == device->generation;

	connection->packet = NULL;
	device->in_flight--;
	if (same_driver && taken < packet->bytes) {
		iov_skip(&packet->chain.readable, taken);
		byte_ring_keep(&connection->buffer, connection->stream.forwarded + taken,
			       &packet->chain.readable);
	}
	if (same_driver && virtio_device_is_live(device))
		give_back(packet);
	else
		pool_put(&tx->pool, packet);
	if (vsock_connection_goes_on(connection))
		vsock_connection_wrote(connection, result);
	if (device->in_flight == 0)
		virtio_device_drained(device);
}

/* The stream has received the chain's `bytes`. Returns whether the chain is kept: it is being sent. */
static bool send_data(struct vsock_connection *connection, struct vsock_packet *packet,
		      uint32_t bytes)
{
	uint32_t position = connection->stream.received - bytes;
	struct virtio_device *device = packet->tx->device;

	if (!vsock_connection_send(connection, position, &packet->chain.readable, data_written))
		return false;
	connection->packet = packet;
	packet->bytes = bytes;
	packet->generation = device->generation;
	device->in_flight++;
	return true;
}

/* Returns whether the chain is kept. */
static bool packet_of_connection(struct vsock_connection *connection, struct vsock_packet *packet,
				 const struct virtio_vsock_hdr *header)
{
	struct vsock_stream *stream = &connection->stream;
	unsigned actions;

	if (header->len <= VSOCK_PACKET_BYTES && iov_trim(&packet->chain.readable, header->len))
		actions = vsock_stream_packet(stream, header);
	else
		actions = vsock_stream_end(stream, true); /* the stream would miss bytes */
	if (actions & ~(unsigned)VSOCK_TAKE_DATA)
		vsock_connection_act(connection, actions);
	if (!(actions & VSOCK_TAKE_DATA))
		return false;
	packet->tx->device->count.out_bytes += header->len;
	return send_data(connection, packet, header->len);
}

/* Returns whether the chain is kept. */
static bool take_packet(struct vsock_tx *tx, struct vsock_packet *packet)
{
	struct vsock_connection *connection;
	struct virtio_vsock_hdr header, reply;

	if (!iov_take(&packet->chain.readable, &header, sizeof(header)) ||
	    header.src_cid != tx->guest_cid || header.dst_cid != VMADDR_CID_HOST)
		return false; /* nobody to answer to */
	connection = vsock_connection_find(tx->all, header.src_port, header.dst_port);
	if (header.type == VIRTIO_VSOCK_TYPE_STREAM) {
		if (connection != NULL)
			return packet_of_connection(connection, packet, &header);
		if (header.op == VIRTIO_VSOCK_OP_REQUEST &&
		    vsock_connection_connect(tx->all, &header))
			return false;
	}
	if (header.op != VIRTIO_VSOCK_OP_RST) { /* no such connection, or not any more */
		tx->device->count.errors++;
		vsock_stream_refuse(&reply, &header);
		vsock_table_add_reply(&tx->all->table, &reply);
	}
	return false;
}

/* Each packet may need a reply: one of a guest that does not take them waits. */
static struct vsock_packet *get_packet(struct vsock_tx *tx)
{
	struct vsock_packet *packet =
		vsock_table_has_reply_room(&tx->all->table) ? pool_get(&tx->pool) : NULL;

	tx->stalled = packet == NULL;
	return packet;
}

static void take_packets(struct vsock_tx *tx)
{
	struct virtio_turn turn = virtio_turn_begin(tx->device, tx->queue);
	struct vsock_packet *packet;

	while ((packet = get_packet(tx)) != NULL && virtio_turn_take(&turn, &packet->chain)) {
		packet->tx = tx;
		tx->device->count.requests++;
		if (!take_packet(tx, packet))
			give_back(packet);
	}
	if (packet != NULL)
		pool_put(&tx->pool, packet);
}

void vsock_tx_run(struct vsock_tx *tx)
{
	tx->kicked = false;
	if (virtio_device_is_live(tx->device) && tx->device->queues[tx->queue].ready)
		take_packets(tx);
}

void vsock_tx_reset(struct vsock_tx *tx)
{
	tx->kicked = tx->stalled = false;
}

void vsock_tx_init(struct vsock_tx *tx, struct virtio_device *device, unsigned queue,
		   struct vsock_connections *all, uint64_t guest_cid)
{
	tx->device = device;
	tx->queue = queue;
	tx->all = all;
	tx->guest_cid = guest_cid;
	pool_init(&tx->pool, tx->packets, sizeof(tx->packets[0]), VIRTQUEUE_MAX_SIZE);
}
