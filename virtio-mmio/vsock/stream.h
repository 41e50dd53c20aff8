/* SPDX-License-Identifier: MIT */
/*
 * One vsock stream as a state machine (virtio 1.2, 5.10.6). Pure: an event changes the state, the counters and
 * what is pending for the guest, and returns the actions that its owner carries out.
 */
#ifndef VIRTIO_MMIO_VSOCK_STREAM_H
#define VIRTIO_MMIO_VSOCK_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_vsock.h>

#include "virtio-mmio/vsock/buffer.h"

/* The most that one packet carries. */
#define VSOCK_PACKET_BYTES  65536u
#define VSOCK_HEADER_BYTES  ((uint32_t)sizeof(struct virtio_vsock_hdr))
#define VSOCK_SHUTDOWN_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)
/* Reads in a row that find nothing after a poll that has announced something: then the stream ends. */
#define VSOCK_MAX_IN_VAIN 16u

enum vsock_state {
	VSOCK_FREE,
	VSOCK_REQUESTED,  /* waits for the guest's answer */
	VSOCK_CONNECTING, /* the guest asked; waits for the host's socket */
	VSOCK_ESTABLISHED,
	VSOCK_DRAINING, /* the guest is gone; what it sent still goes to the socket */
	VSOCK_ENDING,   /* waits for operations under way and for the RST to be sent */
};

/* Packets for the guest, before any data, each at most once. */
enum vsock_pending {
	VSOCK_PENDING_RST = 1,
	VSOCK_PENDING_REQUEST = 2,
	VSOCK_PENDING_RESPONSE = 4,
	VSOCK_PENDING_CREDIT_UPDATE = 8,
	VSOCK_PENDING_CREDIT_REQUEST = 16,
	VSOCK_PENDING_SHUTDOWN = 32, /* with host_shutdown */
};

/* Actions that follow an event. */
enum vsock_action {
	VSOCK_TELL = 1,         /* wait for a turn to send: there is something for the guest */
	VSOCK_TAKE_DATA = 2,    /* the packet's data goes to the socket */
	VSOCK_SAY_OK = 4,       /* the host program gets its "OK" line, before any data */
	VSOCK_LOOK = 8,         /* vsock_stream_drained(), if the socket holds nothing unread */
	VSOCK_WATCH = 16,       /* watch for the host program to leave: vsock_stream_hung_up() */
	VSOCK_POLL_IN = 32,     /* wait until the socket can be read: vsock_stream_polled() */
	VSOCK_END_INPUT = 64,   /* shut down the socket's reading side, once */
	VSOCK_FLUSH = 128,      /* send what waits for the socket, or vsock_stream_flushed() */
	VSOCK_END_OUTPUT = 256, /* shut down its writing side, once */
	VSOCK_FREE_PORTS = 512, /* the guest may use the ports again */
	VSOCK_END = 1024,       /* the end of ports and socket; what is pending is still sent */
};

/* How a poll for something to read ended. */
enum vsock_poll {
	VSOCK_POLL_DATA,        /* data, or the end of it */
	VSOCK_POLL_LEFT,        /* the host program has closed its socket */
	VSOCK_POLL_LEFT_UNREAD, /* it has, without having read everything */
	VSOCK_POLL_FAILED,
};

/* The packets that a stream sends in its turn. */
enum vsock_next {
	VSOCK_NEXT_NOTHING,
	VSOCK_NEXT_PACKET, /* vsock_stream_next_packet() */
	VSOCK_NEXT_DATA,   /* of the socket, as much as vsock_stream_credit() */
};

struct vsock_stream {
	enum vsock_state state;
	uint32_t guest_port, host_port;
	/* To the guest: what its receive buffer holds, what it has read, what was sent. */
	uint32_t peer_buf_alloc, peer_fwd_cnt, sent;
	/* From the guest: what has come, what the host's socket has taken, what the guest knows. */
	uint32_t received, forwarded, told;
	uint32_t guest_shutdown; /* VIRTIO_VSOCK_SHUTDOWN_ flags that the guest has sent */
	uint32_t host_shutdown;  /* and that it was sent */
	unsigned pending;        /* enum vsock_pending */
	unsigned in_vain;        /* reads that found nothing, since one has found something */
	bool readable, receiving;
	bool asked_credit;
	bool at_end;          /* a read has found the end of what the host program sends */
	bool hung_up, unread; /* the host program has left; without having read everything */
	bool gone;            /* it has left, and all it has sent is with the guest */
};

/* Events. */

/* A host program asks for a connection to guest_port. */
unsigned vsock_stream_request(struct vsock_stream *stream);

/* The socket is connected that the guest has asked for. */
unsigned vsock_stream_connected(struct vsock_stream *stream);

/* A packet of the guest; with VSOCK_TAKE_DATA its data was counted as received. */
unsigned vsock_stream_packet(struct vsock_stream *stream, const struct virtio_vsock_hdr *header);

/* The socket has taken `bytes`. */
unsigned vsock_stream_sent(struct vsock_stream *stream, uint32_t bytes);

/* The socket takes nothing any more: what the guest sends is dropped. */
unsigned vsock_stream_deaf(struct vsock_stream *stream);

/* Nothing waits for the socket. */
unsigned vsock_stream_flushed(struct vsock_stream *stream);

/* A poll for something to read is back. */
unsigned vsock_stream_polled(struct vsock_stream *stream, enum vsock_poll poll);

/* A read is back. result: bytes, 0 for the end, or -errno. more: after data there may be more. */
unsigned vsock_stream_read(struct vsock_stream *stream, int32_t result, bool more);

/* The host program has closed its socket. unread: without having read everything. */
unsigned vsock_stream_hung_up(struct vsock_stream *stream, bool unread);

/* After VSOCK_LOOK: the socket holds nothing for the guest. */
unsigned vsock_stream_drained(struct vsock_stream *stream);

/* Ends the stream at once. tell: the guest gets a RST. */
unsigned vsock_stream_end(struct vsock_stream *stream, bool tell);

/* Its packet for this turn. May make a packet pending. */
enum vsock_next vsock_stream_next(struct vsock_stream *stream);

/* Takes the first of the pending packets, of which there is one. `guest_cid` is the device's. */
void vsock_stream_next_packet(struct vsock_stream *stream, struct virtio_vsock_hdr *header,
			      uint64_t guest_cid);

/* The header of a packet with `length` bytes of data; they are counted as sent. */
void vsock_stream_header(struct vsock_stream *stream, struct virtio_vsock_hdr *header,
			 uint64_t guest_cid, uint16_t op, uint32_t flags, uint32_t length);

/* A RST to a packet that belongs to no stream. */
void vsock_stream_refuse(struct virtio_vsock_hdr *header, const struct virtio_vsock_hdr *packet);

/* The bytes that the guest can take. Never wraps, also if the guest has shrunk its buffer or claims to
 * have read more than was sent. */
static inline uint32_t vsock_stream_credit(const struct vsock_stream *stream)
{
	/* Counters are free-running modulo 2^32. */
	uint32_t unread = stream->sent - stream->peer_fwd_cnt;

	return unread < stream->peer_buf_alloc ? stream->peer_buf_alloc - unread : 0;
}

/* Whether nothing is wanted of the socket any more: the stream is ending, or the host program is gone and the
 * guest is told of both ends. */
static inline bool vsock_stream_is_over(const struct vsock_stream *stream)
{
	return stream->state == VSOCK_ENDING ||
	       (stream->state == VSOCK_ESTABLISHED && stream->host_shutdown == VSOCK_SHUTDOWN_BOTH);
}

/* Parts of events, for tests. */

/* Every packet of the guest carries its credit. */
void vsock_stream_update_credit(struct vsock_stream *stream, const struct virtio_vsock_hdr *header);

/* The guest has sent `bytes`. False: more than it was allowed. */
bool vsock_stream_receive(struct vsock_stream *stream, uint32_t bytes);

/* Whether the guest should be told of what was forwarded: half a buffer at a time. */
bool vsock_stream_owes_update(const struct vsock_stream *stream);

#endif
