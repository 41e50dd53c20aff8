/* SPDX-License-Identifier: MIT */
/*
 * A connection between the guest and a host program: a stream, a socket, and a buffer for what the socket does
 * not take at once. It turns what the socket reports into events of the stream and carries the stream's
 * actions out.
 *
 * A connection gives its place back when its stream has ended and none of its operations is on the ring.
 */
#ifndef VIRTIO_MMIO_VSOCK_CONNECTION_H
#define VIRTIO_MMIO_VSOCK_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "host/container_of.h"
#include "virtio-mmio/iov.h"
#include "virtio-mmio/vsock/backlog.h"
#include "virtio-mmio/vsock/buffer.h"
#include "virtio-mmio/vsock/list.h"
#include "virtio-mmio/vsock/socket.h"
#include "virtio-mmio/vsock/stream.h"
#include "virtio-mmio/vsock/table.h"
#include "virtio-mmio/vsock/target.h"

struct vsock_connections;
struct vsock_packet;
struct vsock_receive;

struct vsock_connection {
	struct vsock_entry entry; /* first: the table's */
	struct vsock_connections *all;
	uint32_t generation; /* of the driver that it belongs to */
	struct vsock_stream stream;
	struct vsock_socket socket;

	/* While it connects. */
	struct sockaddr_un address;
	struct vsock_waiter waiter;
	struct __kernel_timespec pause;

	char ok_line[16];
	struct iovec ok;         /* what is to be sent of it, before any data of the stream */
	struct byte_ring buffer; /* positions as stream.received and stream.forwarded count them */

	struct vsock_packet *packet;   /* tx.c's: its data is being sent from guest memory */
	struct vsock_receive *receive; /* rx.c's: a read is under way */
};

/* All connections of a device, and what they share. */
struct vsock_connections {
	struct vsock_sockets *sockets;
	struct vsock_target target;
	uint32_t generation;        /* of the driver: the connections of an earlier one are over */
	struct vsock_link backlogs; /* of those that wait for a listener: the first of each line */
	uint8_t *buffers;
	struct vsock_table table;
	struct vsock_connection places[VSOCK_MAX_CONNECTIONS];
};

/* Does not return on failure (exit 122). */
void vsock_connections_open(struct vsock_connections *all, struct vsock_sockets *sockets,
			    struct vsock_target target);

/* The driver has reset the device. On any thread; then vsock_connections_drop_old() on the ring's. */
void vsock_connections_reset(struct vsock_connections *all);

/* Ends the connections of earlier drivers. */
void vsock_connections_drop_old(struct vsock_connections *all);

/* A free connection, which only keeps a place; NULL: see vsock_table_get(). */
struct vsock_connection *vsock_connection_get(struct vsock_connections *all);

/* Gives the place back. Nothing of it is on the ring, its socket is closed, and the guest cannot find it. */
void vsock_connection_put(struct vsock_connection *connection);

static inline struct vsock_connection *vsock_connection_of(struct vsock_entry *entry)
{
	return entry ? container_of(entry, struct vsock_connection, entry) : NULL;
}

/* The connection with these ports, or NULL. */
static inline struct vsock_connection *
vsock_connection_find(struct vsock_connections *all, uint32_t guest_port, uint32_t host_port)
{
	return vsock_connection_of(vsock_table_find(&all->table, guest_port, host_port));
}

/* The guest asks for a port of the host. False: its connections go nowhere, or there is no place or no descriptor for one. */
bool vsock_connection_connect(struct vsock_connections *all,
			      const struct virtio_vsock_hdr *request);

/* A host program on socket `fd` asks for guest_port; `connection` has only kept a place. */
void vsock_connection_request(struct vsock_connection *connection, int fd, uint32_t guest_port,
			      uint32_t host_port);

/* Carries out an event's actions. That may end the connection: the caller must not look at it afterwards. */
void vsock_connection_act(struct vsock_connection *connection, unsigned actions);

/* In a handler: whether the stream still wants the operation's result. If not, the connection is over, or is an earlier
 * driver's and about to be dropped. */
bool vsock_connection_goes_on(struct vsock_connection *connection);

/* Sends data at `position` of the stream to the socket. True: from where it is; it stays valid until done(). False: it was
 * copied. */
bool vsock_connection_send(struct vsock_connection *connection, uint32_t position, struct iov *data,
			   vsock_socket_done_fn *done);

/* A write of the stream's data is back; what it has not taken is in the buffer. */
void vsock_connection_wrote(struct vsock_connection *connection, int32_t result);

#endif
