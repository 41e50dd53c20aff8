/* SPDX-License-Identifier: MIT */
/*
 * The receive queue: packets to the guest, while it has receive buffers. Replies go first, then each connection has one
 * turn, so that none keeps the others waiting. Data is read from the socket straight into the guest's buffers, as much as
 * its credit allows; the headers follow when the length is known. With RWF_NOWAIT no read waits with the guest's
 * buffers; where sockets do not take it (as in Linux 6.1), a poll comes before each read.
 */
#ifndef VIRTIO_MMIO_VSOCK_RX_H
#define VIRTIO_MMIO_VSOCK_RX_H

#include <stdint.h>

#include "virtio-mmio/iov.h"
#include "virtio-mmio/queue.h"
#include "virtio-mmio/rx_pool.h"
#include "virtio-mmio/virtio_device.h"
#include "virtio-mmio/vsock/connection.h"

#define VSOCK_MAX_RECEIVES    16u
#define VSOCK_RECEIVE_BUFFERS 16u
#define VSOCK_RECEIVE_PARTS   VIRTQUEUE_MAX_SIZE /* any one buffer fits */

/* A read from a connection's socket into buffers of the guest. */
struct vsock_receive {
	struct vsock_rx *rx;
	struct vsock_connection *connection; /* NULL: free */
	uint32_t generation;                 /* of the device */
	unsigned n_buffers;
	uint32_t capacity; /* bytes of data that the buffers hold */
	struct iov data;   /* in parts[] */
	struct rx_buffer *buffers[VSOCK_RECEIVE_BUFFERS];
	struct iovec parts[VSOCK_RECEIVE_PARTS];
};

struct vsock_rx {
	struct virtio_device *device;
	unsigned queue; /* of the device */
	struct vsock_connections *all;
	uint64_t guest_cid;
	bool kicked;
	struct rx_pool pool;
	struct vsock_receive receives[VSOCK_MAX_RECEIVES];
};

void vsock_rx_init(struct vsock_rx *rx, struct virtio_device *device, unsigned queue,
		   struct vsock_connections *all, uint64_t guest_cid);

/* The driver has reset the device. */
void vsock_rx_reset(struct vsock_rx *rx);

static inline bool vsock_rx_has_work(const struct vsock_rx *rx)
{
	return rx->kicked || vsock_table_has_something_to_send(&rx->all->table);
}

/* Serves all that have something to send, while the guest has buffers. */
void vsock_rx_run(struct vsock_rx *rx);

#endif
