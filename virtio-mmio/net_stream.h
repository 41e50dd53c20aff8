/* SPDX-License-Identifier: MIT */
/*
 * Frames to and from a peer behind a stream socket.
 *
 * Theory of operation. Each direction has a buffer of two frames of the largest size, so the ring never works on guest
 * memory and a driver's reset leaves the stream whole. From the peer: a read is under way while no whole frame waits for
 * the guest. To it: frames are copied until the next might not fit; a write is under way while there is something to
 * write, and what comes meanwhile goes with the next. The guest's queue holds what does not fit.
 *
 * A peer that leaves, or whose length is none, is lost: the link goes down, and frames are dropped. A peer at a path is
 * called again each second.
 */
#ifndef VIRTIO_MMIO_NET_STREAM_H
#define VIRTIO_MMIO_NET_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "host/frame_socket.h"
#include "host/ring.h"
#include "virtio-mmio/byte_ring.h"
#include "virtio-mmio/net_frame.h"
#include "virtio-mmio/net_link.h"
#include "virtio-mmio/queue.h"

/* passt takes no larger one. */
#define NET_STREAM_MAX_FRAME_BYTES 65535u
#define NET_STREAM_MAX_MTU         (NET_STREAM_MAX_FRAME_BYTES - 14u)

struct net_direction;

/* Half of the stream: a direction. */
struct net_half {
	const struct net_direction *direction;
	struct net_stream *stream;
	struct ring_op op;
	bool under_way;    /* a read or write, or a poll before it */
	bool polls;        /* the socket is non-blocking, and the ring does not wait for it */
	uint32_t from, to; /* positions of what the buffer holds */
	struct byte_ring buffer;
	uint8_t bytes[BYTE_RING_BYTES];
};

struct net_stream {
	struct net_link *link;
	struct frame_socket *socket;
	bool starved; /* the guest's frames wait for room */
	struct net_half in, out;
	struct ring_op pause_op;
	struct rx_pool pool;
	struct net_frame frame;
	struct virtqueue_chain chain;
};

/* socket: open; it stays valid, and may be found closed. */
void net_stream_init(struct net_stream *stream, struct net_link *link, struct frame_socket *socket);

/* After ring_start(). On the ring's thread, with the device locked, as what follows. */
void net_stream_start(struct net_stream *stream);

/* The guest has new buffers. */
void net_stream_deliver(struct net_stream *stream);

/* Takes the guest's frames. The device is live and the queue ready. */
void net_stream_take(struct net_stream *stream);

/* On a vCPU's thread. */
void net_stream_reset(struct net_stream *stream);

#endif
