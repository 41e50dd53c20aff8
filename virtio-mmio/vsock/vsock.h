/* SPDX-License-Identifier: MIT */
/*
 * virtio-vsock (virtio 1.2, 5.10) between the guest and Unix sockets of the host, in Firecracker's
 * dialect: a host program connects to PATH, sends "CONNECT <port>\n" and reads "OK <host_port>\n"; the
 * guest's connection to CID 2, port P, goes to the socket PATH_P, or to the launcher (target.h).
 *
 * This is the folder's only public header. The files depend in one direction: vsock on tx, rx and listen, these on
 * connection, that on target, socket, stream and buffer; table and backlog stand beside. A completion on the ring becomes an
 * event of a stream; the device's one task does the rest after the batch.
 */
#ifndef VIRTIO_MMIO_VSOCK_VSOCK_H
#define VIRTIO_MMIO_VSOCK_VSOCK_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_vsock.h>

#include "host/ring.h"
#include "virtio-mmio/virtio_device.h"
#include "virtio-mmio/vsock/connection.h"
#include "virtio-mmio/vsock/listen.h"
#include "virtio-mmio/vsock/rx.h"
#include "virtio-mmio/vsock/socket.h"
#include "virtio-mmio/vsock/tx.h"

enum vsock_queue {
	VSOCK_RX,
	VSOCK_TX,
	VSOCK_EVENT,
	VSOCK_QUEUES
};

/* In a VM that comes from a snapshot: the guest is told that its connections are over. New ones wait until its driver has ended
 * the old, because it would end them, too. */
enum vsock_news {
	VSOCK_NEWS_NONE,
	VSOCK_NEWS_DUE, /* as soon as there is a buffer */
	VSOCK_NEWS_TOLD,
};

struct vsock {
	struct virtio_device device;
	struct virtio_vsock_config config;
	struct ring_task task;
	bool drop_old; /* the driver was reset: its connections are gone */
	enum vsock_news news;
	uint16_t news_index; /* of the event queue, when it was told */
	bool holds_programs; /* those of the host that connect */
	struct ring_op hold_op;
	struct vsock_tx tx;
	struct vsock_rx rx;
	struct vsock_sockets sockets;
	struct vsock_connections connections;
	struct vsock_listener listener;
};

/* listener: of the host programs. target: of the guest's connections. Both outlive the vsock. Before ring_start(). Does not
 * return on failure (exit 122). */
void vsock_open(struct vsock *vsock, uint32_t guest_cid, const struct listen_socket *listener,
		struct vsock_target target, const struct guest_memory *memory, struct ring *ring);

/* Starts to accept connections: after ring_start(). */
void vsock_start(struct vsock *vsock);

#endif
