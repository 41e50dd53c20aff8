/*
 * A connection between the guest and a host program: a stream, a socket, and a buffer for what the socket does
 * not take at once. It turns what the socket reports into events of the stream and carries the stream's
 * actions out.
 *
 * What is on the ring holds the connection: it gives its place back when its stream has ended and all of that is back.
 */
#ifndef VIRTIO_MMIO_VSOCK_CONNECTION_H
#define VIRTIO_MMIO_VSOCK_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "virtio-mmio/iov.h"
#include "virtio-mmio/vsock/backlog.h"
#include "virtio-mmio/vsock/list.h"
#include "virtio-mmio/vsock/socket.h"
#include "virtio-mmio/vsock/stream.h"

struct vsock_table;
struct vsock_packet;
struct vsock_receive;

struct vsock_connection {
	struct vsock_connection *next_free; /* first: the pool's */
	struct vsock_connection *next_by_port;
	struct vsock_table *table;
	struct vsock_link to_send, departed; /* in the table's lists */
	uint32_t generation;                 /* of the driver that it belongs to */
	struct vsock_stream stream;
	struct vsock_socket socket;

	/* While it connects. */
	struct sockaddr_un address;
	struct vsock_waiter waiter;
	struct __kernel_timespec pause;

	char ok_line[16];
	uint32_t ok_bytes; /* to be sent before any data of the stream */
	/* A ring of VSOCK_BUFFER_BYTES, positions as stream.received and stream.forwarded count them. */
	uint8_t *buffer;
	struct iovec buffered[2];

	struct vsock_packet *packet;   /* tx.c's: its data is being sent from guest memory */
	struct vsock_receive *receive; /* rx.c's: a read is under way */
};

/* The guest asks for the host's socket PATH_PORT. False: there is no place or no descriptor for it. */
bool vsock_connection_connect(struct vsock_table *table, const char *path,
			      const struct virtio_vsock_hdr *request);

/* A host program on socket `fd` asks for guest_port; `connection` is a place of the table. */
void vsock_connection_request(struct vsock_connection *connection, int fd, uint32_t guest_port,
			      uint32_t host_port);

/* Carries out what an event of the stream asks for. It may be the end of the connection: after that its caller
 * does not look at it. */
void vsock_connection_act(struct vsock_connection *connection, unsigned actions);

/* In a handler: whether the stream is to hear of its operation. Otherwise it was only waited for: it is over, or it is
 * one of an earlier driver, which the device is about to drop. */
bool vsock_connection_goes_on(struct vsock_connection *connection);

/* Sends data at `position` of the stream to the socket. Returns whether it is being sent from where it is: then done()
 * is called, and it stays until then. Otherwise it was copied. */
bool vsock_connection_send(struct vsock_connection *connection, uint32_t position, struct iov *data,
			   vsock_socket_done_fn *done);

/* Keeps data at `position` of the stream in the buffer. The buffer is as large as the guest's credit: it has
 * room. */
void vsock_connection_keep(struct vsock_connection *connection, uint32_t position,
			   struct iov *data);

/* A write of the stream's data is back; what it has not taken is in the buffer. */
void vsock_connection_wrote(struct vsock_connection *connection, int32_t result);

/* The driver is gone. */
void vsock_connection_drop(struct vsock_connection *connection);

#endif
