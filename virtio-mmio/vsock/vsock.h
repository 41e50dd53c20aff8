/*
 * virtio-vsock (virtio 1.2, 5.10) between the guest and Unix sockets of the host, in Firecracker's
 * dialect: a host program connects to PATH, sends "CONNECT <port>\n" and reads "OK <host_port>\n"; the
 * guest's connection to CID 2, port P, goes to the socket PATH_P.
 */
#ifndef VIRTIO_MMIO_VSOCK_VSOCK_H
#define VIRTIO_MMIO_VSOCK_VSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "host/ring.h"
#include "virtio-mmio/queue.h"
#include "virtio-mmio/rx_pool.h"
#include "virtio-mmio/virtio_device.h"
#include "virtio-mmio/vsock/list.h"
#include "virtio-mmio/vsock/stream.h"

#define VSOCK_MAX_CONNECTIONS 2048u
#define VSOCK_MAX_REPLIES     256u /* resets to packets of no connection */
#define VSOCK_MAX_RECEIVES    16u
#define VSOCK_RECEIVE_BUFFERS 16u
#define VSOCK_RECEIVE_PARTS   VIRTQUEUE_MAX_SIZE /* any one buffer fits */
#define VSOCK_GREETING_BYTES  32u
#define VSOCK_HEADER_BYTES    ((uint32_t)sizeof(struct virtio_vsock_hdr))
/* Reads in a row that find nothing where a poll has said that there is something. */
#define VSOCK_MAX_IN_VAIN 16u
/* The most that one packet carries. */
#define VSOCK_PACKET_BYTES 65536u

enum vsock_queue {
	VSOCK_RX,
	VSOCK_TX,
	VSOCK_EVENT,
	VSOCK_QUEUES
};

struct vsock;

/* Packets that a connection has to send before its data, each at most once. */
enum vsock_pending {
	VSOCK_PENDING_RST = 1,
	VSOCK_PENDING_REQUEST = 2,
	VSOCK_PENDING_RESPONSE = 4,
	VSOCK_PENDING_CREDIT_UPDATE = 8,
	VSOCK_PENDING_CREDIT_REQUEST = 16,
	VSOCK_PENDING_SHUTDOWN = 32, /* with stream.host_shutdown */
};

/* A read from a connection's socket straight into buffers of the guest. */
struct vsock_receive {
	struct ring_op op;
	struct vsock_connection *connection; /* NULL: free */
	uint32_t generation;
	bool nowait; /* asked with RWF_NOWAIT */
	unsigned n_buffers;
	struct iov data;   /* in parts[] */
	uint32_t capacity; /* bytes of data that the buffers hold */
	struct rx_buffer *buffers[VSOCK_RECEIVE_BUFFERS];
	struct iovec parts[VSOCK_RECEIVE_PARTS];
};

struct vsock_connection {
	struct vsock *vsock;
	struct vsock_stream stream;
	struct vsock_connection *next_free, *next_by_port;
	struct vsock_link to_send, departed, waiting; /* in the vsock's lists */
	int fd;                                       /* its socket, or -1 */
	unsigned ops_in_flight; /* on the ring: the connection stays until they are back */
	unsigned in_vain;       /* reads, since one has found something */
	unsigned pending;       /* enum vsock_pending */
	bool gone; /* the host's program has closed its socket; all it has sent is with the guest */
	bool at_end;     /* a read has found the end of what the host's program sends */
	int32_t hang_up; /* the events of the poll that has found it gone, or 0 */
	bool polling_in, polling_out, readable, receiving, sending, asked_credit;
	bool half_ended, waits_for_room; /* the vsock's epoll has it; with `polling_out` */
	bool input_ended,
		output_ended; /* of the socket, by vsock_end_input(), vsock_end_output() */

	struct sockaddr_un address; /* while it is connecting */
	struct vsock_link behind; /* others that wait for the same listener, if this is the first */
	unsigned connect_pause_ms; /* before its next try */
	struct __kernel_timespec connect_pause;
	struct ring_op connect_op, poll_in_op, poll_out_op, greeting_op, hang_up_op, send_op,
		read_shutdown_op, write_shutdown_op, end_shutdown_op;
	int64_t wait_end_ms; /* CLOCK_MONOTONIC; of the CONNECT line, of room in a backlog; or 0 */
	char greeting[VSOCK_GREETING_BYTES];
	unsigned greeting_length, greeting_seen; /* taken; to be taken now, 0: to be looked at */
	uint32_t ok_line_bytes; /* of the "OK" line, until it is sent: no data of the stream */

	/* What the guest has sent and the socket has not taken: a ring of VSOCK_BUFFER_BYTES,
	 * positions as stream.received and stream.forwarded count them. */
	uint8_t *buffer;
	struct vsock_direct *direct; /* being sent from guest memory */
	uint32_t direct_bytes;
	uint32_t generation; /* of the device, for `direct` */
	struct iovec send_parts[2];
};

/* A transmit chain that is being sent from guest memory. */
struct vsock_direct {
	struct vsock_direct *next_free;
	struct virtqueue_chain chain;
};

struct vsock {
	struct virtio_device device; /* first: the callbacks find the vsock by it */
	struct virtio_vsock_config config;
	struct ring *ring;
	int listen_fd;
	const char *path; /* of the guest's connections, "_PORT" is added; NULL: none */
	struct ring_op accept_op, accept_pause_op;
	struct vsock_connection *accepting;
	bool accept_paused; /* the host was short of something */
	struct ring_task signal_task;
	int half_ended_fd; /* an epoll of sockets with one direction left */
	struct ring_op half_ended_op;
	bool drop_old;   /* the driver was reset: its connections are gone */
	bool no_nowait;  /* this host's sockets do not take RWF_NOWAIT */
	bool tx_stalled; /* packets wait until replies have gone out */
	uint32_t next_host_port;

	struct vsock_connection *free_connections;
	unsigned fresh_connections;
	struct vsock_connection *by_port[VSOCK_MAX_CONNECTIONS];
	uint64_t port_key[2];       /* of their hash: the guest chooses the ports */
	struct vsock_link to_send;  /* has something for the guest */
	struct vsock_link departed; /* waits for the guest alone, the longest first */
	struct vsock_link greeting; /* has not said its line, the longest first */
	struct vsock_link full;     /* the first of those that wait for each full listener */
	struct ring_op greeting_timer_op;
	struct __kernel_timespec greeting_timer_end;
	bool greeting_timer_runs;
	struct virtio_vsock_hdr replies[VSOCK_MAX_REPLIES];
	unsigned first_reply, n_replies;
	uint8_t *buffers; /* VSOCK_BUFFER_BYTES each, in address space only until used */

	uint8_t waste[65536]; /* what no guest wants; never read */
	struct rx_pool pool;
	struct vsock_receive receives[VSOCK_MAX_RECEIVES];
	struct vsock_direct *free_directs;
	unsigned fresh_directs;
	struct vsock_direct directs[VIRTQUEUE_MAX_SIZE];
	struct vsock_connection connections[VSOCK_MAX_CONNECTIONS];
};

/* listen_fd: a listening Unix socket, or -1. path: as above, or NULL. Before ring_start(). Does not
 * return on failure (exit 3). */
void vsock_init(struct vsock *vsock, uint32_t guest_cid, int listen_fd, const char *path,
		const struct guest_memory *memory, struct ring *ring);

/* Starts to accept connections: after ring_start(). */
void vsock_start(struct vsock *vsock);

/* What follows is for this folder: on the ring's thread, with the device locked. */

/* The connection that an operation on the ring belongs to: `op` is its `member`. */
#define CONNECTION_OF(op, member)                                                                  \
	((struct vsock_connection *)((char *)(op)-offsetof(struct vsock_connection, member)))

/* vsock.c: after a reset, before anything else is done for the new driver */
void vsock_drop_old(struct vsock *vsock);
void vsock_signal_later(struct vsock *vsock);

/* accept.c: of the host's programs */
void vsock_accept_next(struct vsock *vsock);
void vsock_read_greeting(struct vsock_connection *connection);

/* connection.c */
/* A free one, as new, or NULL. If there is none, that which has waited for the guest for the longest time;
 * so only where no connection is being worked on. */
struct vsock_connection *vsock_get_connection(struct vsock *vsock);
/* Gives it its socket. */
void vsock_set_socket(struct vsock_connection *connection, int fd);
/* Back to the free ones; nothing of it is on the ring any more. */
void vsock_release(struct vsock_connection *connection);
struct vsock_connection *vsock_find(struct vsock *vsock, uint32_t guest_port, uint32_t host_port);
/* vsock_find() finds it from now on, or not any more: the guest may use the ports again. */
void vsock_insert(struct vsock_connection *connection);
void vsock_free_ports(struct vsock_connection *connection);
/* Ends it; tell: the guest gets a RST. */
void vsock_end(struct vsock_connection *connection, bool tell);
/* If only the guest is waited for, if at all: closes the socket and makes the place one that may be used
 * again. Without an effect as long as something of it is on the ring. */
void vsock_release_if_over(struct vsock_connection *connection);
/* The guest takes no more: the host's program gets EPIPE at its next write, and what it has written is
 * thrown away, so that one that waits for room to write goes on. At most once. */
void vsock_end_input(struct vsock_connection *connection);
/* The guest has sent all: the host's program reads the end. At most once. */
void vsock_end_output(struct vsock_connection *connection);
/* An operation of the connection is back. False: it was only waited for, the connection is over. */
bool vsock_op_done(struct vsock_connection *connection);
/* A read that has found nothing: waits until there is something, or ends the connection if that was
 * said too often in vain. */
void vsock_poll_in_again(struct vsock_connection *connection);
void vsock_established(struct vsock_connection *connection);

/* hang_up.c: of the host's programs, how they end and leave. `events` are those of a poll, or its error. */
void vsock_watch_half_ended(struct vsock *vsock);
/* From the request, or from the connect on; at most once. */
void vsock_watch_hang_up(struct vsock_connection *connection);
/* The guest has read something, or will read no more: may be it has all now of a program that has left. */
void vsock_look_at_hang_up(struct vsock_connection *connection);
/* For room in the socket, where a poll on the ring comes back for the end of the other direction; then vsock_tx_send(). */
void vsock_wait_for_room(struct vsock_connection *connection);
/* Whether the program is gone, as the poll says, and nothing that it has sent waits. */
bool vsock_is_drained(const struct vsock_connection *connection, int32_t events);
/* It is gone, and nothing is left to be read. */
void vsock_host_is_gone(struct vsock_connection *connection, int32_t events);
/* A read has found that it will send no more: all it has sent is with the guest. */
void vsock_host_has_ended(struct vsock_connection *connection);
/* What the poll after that says. */
void vsock_tell_end(struct vsock_connection *connection, int32_t events);

/* connect.c: of the guest's programs */
/* A new connection to the host's socket for the request's port, or NULL. */
struct vsock_connection *vsock_connect(struct vsock *vsock, const struct virtio_vsock_hdr *request);
/* It does not wait any more, for a line or for a listener: lets the next try. */
void vsock_stop_waiting(struct vsock_connection *connection);

/* rx.c: to the guest */
void vsock_rx_init(struct vsock *vsock);
void vsock_rx_run(struct vsock *vsock);
void vsock_send_later(struct vsock_connection *connection, unsigned pending);
void vsock_poll_in(struct vsock_connection *connection);
/* False: no room, the packet must wait. */
bool vsock_reply_reset(struct vsock *vsock, const struct virtio_vsock_hdr *to);

/* tx.c: from the guest */
void vsock_tx_run(struct vsock *vsock);

/* send.c: to the host's sockets */
/* NULL: all are in use. */
struct vsock_direct *vsock_get_direct(struct vsock *vsock);
void vsock_put_direct(struct vsock *vsock, struct vsock_direct *direct);
/* The same; and the guest may use the chain's buffers again. */
void vsock_give_back(struct vsock *vsock, struct vsock_direct *direct);
/* Sends the chain's `length` bytes, which the stream has received at `position`. Returns whether the
 * chain is kept: it is being sent. */
bool vsock_send_data(struct vsock_connection *connection, struct vsock_direct *direct,
		     uint32_t position, uint32_t length);
/* Sends what waits, or acts on there being nothing. */
void vsock_tx_send(struct vsock_connection *connection);
void vsock_poll_out_done(struct ring_op *op, int32_t result);
void vsock_send_done(struct ring_op *op, int32_t result);

#endif
