/* SPDX-License-Identifier: MIT */
/* All frames that are available become writes in one submission, which run in order because RWF_NOWAIT lets none of
 * them wait. A frame that the host does not take (interface down, queue full, malformed) is dropped, as on a wire; so is
 * one whose header breaks a rule, because a driver may have it from a program of the guest's. */
#include "virtio-mmio/net_tx.h"

#include <errno.h>

#include "host/container_of.h"
#include "virtio-mmio/net_header.h"

static void finish(struct net_tx *tx, struct net_write *write)
{
	struct virtio_device *device = tx->link->device;

	virtqueue_push(&device->queues[NET_TX], write->chain.head, 0);
	virtio_device_signal_later(device);
	pool_put(&tx->free_writes, write);
}

static void count(struct virtio_device *device, int32_t result)
{
	device->count.requests++;
	if (result > (int32_t)TAP_HEADER_BYTES)
		device->count.out_bytes += (uint64_t)result - TAP_HEADER_BYTES;
	else
		device->count.errors++;
}

static void write_done(struct ring_op *op, int32_t result)
{
	struct net_write *write = container_of(op, struct net_write, op);
	struct net_tx *tx = write->tx;
	struct virtio_device *device = tx->link->device;

	virtio_device_lock(device);
	device->in_flight--;
	count(device, result);
	if (result == -EBADFD)
		net_link_lose_tap(tx->link);
	if (virtio_device_awaits(device, write->generation))
		finish(tx, write);
	else
		pool_put(&tx->free_writes, write);
	if (device->in_flight == 0)
		virtio_device_drained(device);
	if (tx->starved && virtio_device_is_live(device))
		net_tx_take(tx);
	virtio_device_unlock(device);
}

static void submit(struct net_tx *tx, struct net_write *write)
{
	struct virtio_device *device = tx->link->device;
	const struct tap *tap = tx->link->tap;
	struct io_uring_sqe *sqe = ring_prepare(device->ring);

	write->tx = tx;
	write->op.done = write_done;
	write->generation = device->generation;
	io_uring_prep_writev2(sqe, tap->fd, write->chain.readable.parts, write->chain.readable.n,
			      (uint64_t)-1, tap->no_nowait ? 0 : RWF_NOWAIT);
	ring_commit(sqe, &write->op);
	device->in_flight++;
}

/* Only buffers that the device reads, and no more of them than the largest frame. */
static bool is_frame(const struct virtqueue_chain *chain)
{
	uint64_t bytes = iov_bytes(&chain->readable);

	return chain->writable.n == 0 && bytes > TAP_HEADER_BYTES && bytes <= NET_MAX_FRAME_BYTES;
}

/* The host gets the header that was checked, not the one in the guest's memory. */
static bool check_header(const struct virtio_device *device, struct net_write *write)
{
	struct iov *frame = &write->chain.readable;

	if (!iov_take(frame, &write->header, sizeof(write->header)) ||
	    !net_header_from_guest(&write->header, device->features, iov_bytes(frame)))
		return false;
	*--frame->parts = (struct iovec){ &write->header, sizeof(write->header) };
	frame->n++;
	return true;
}

void net_tx_init(struct net_tx *tx, struct net_link *link)
{
	tx->link = link;
	tx->starved = false;
	pool_init(&tx->free_writes, tx->writes, sizeof(tx->writes[0]), VIRTQUEUE_MAX_SIZE);
}

void net_tx_reset(struct net_tx *tx)
{
	tx->starved = false;
}

void net_tx_take(struct net_tx *tx)
{
	struct virtio_turn turn = virtio_turn_begin(tx->link->device, NET_TX);
	struct net_write *write;

	while ((write = pool_get(&tx->free_writes)) != NULL &&
	       virtio_turn_take(&turn, &write->chain)) {
		if (!tx->link->down && is_frame(&write->chain) &&
		    check_header(tx->link->device, write)) {
			submit(tx, write);
		} else {
			count(tx->link->device, 0);
			finish(tx, write);
		}
	}
	tx->starved = write == NULL; /* write_done() goes on */
	if (write != NULL)
		pool_put(&tx->free_writes, write);
}
