/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. Chains of the guest are taken off the queue into a pool. When they suffice for a frame, the ring
 * polls the TAP. When the TAP is readable, a batch of reads is prepared, each with as many buffers as the largest frame
 * may need, and the next poll behind them. RWF_NOWAIT makes the reads run one after the other inside the submission:
 * frames stay in order, and a read without a frame ends at once (with O_NONBLOCK alone the ring would wait for the frame,
 * and keep the buffers). A TUN without RWF_NOWAIT, such as Linux 6.1's, gets one read for each poll, which always finds
 * its frame. Buffers that a frame did not need go back to the front of the pool. Without buffers nothing is polled: the
 * TAP keeps the frames, and the driver's next kick goes on.
 */
#include "virtio-mmio/net_rx.h"

#include <errno.h>
#include <poll.h>

#include "host/container_of.h"
#include "virtio-mmio/net_header.h"

#define ETHERNET_BYTES (14u + 4u) /* with a VLAN tag */
#define DEFAULT_MTU    1500u

#define GUEST_OFFLOADS                                                                             \
	(VIRTIO_FEATURE(VIRTIO_NET_F_GUEST_TSO4) | VIRTIO_FEATURE(VIRTIO_NET_F_GUEST_TSO6) |       \
	 VIRTIO_FEATURE(VIRTIO_NET_F_GUEST_UFO) | VIRTIO_FEATURE(NET_F_GUEST_USO4) |               \
	 VIRTIO_FEATURE(NET_F_GUEST_USO6))

static struct virtqueue *queue_of(const struct net_rx *rx)
{
	return &rx->link->device->queues[NET_RX];
}

/* A frame that is read while the queue is stopped would be in no snapshot: the TAP keeps it. */
static bool has_open_queue(const struct net_rx *rx)
{
	return queue_of(rx)->ready && !queue_of(rx)->closed;
}

/* The largest frame that the host may send, with its header. */
static uint32_t frame_bytes(const struct net_rx *rx)
{
	uint32_t mtu = rx->link->config.mtu > DEFAULT_MTU ? rx->link->config.mtu : DEFAULT_MTU;

	if (rx->link->device->features & GUEST_OFFLOADS)
		return NET_MAX_FRAME_BYTES;
	return TAP_HEADER_BYTES + ETHERNET_BYTES + mtu;
}

static bool ready_for_frame(const struct net_rx *rx)
{
	return net_frame_has_room(rx->link->device, &rx->pool, frame_bytes(rx));
}

/* A frame of `length` bytes, or none. */
static void frame_read(struct net_rx *rx, struct net_read *read, int32_t length)
{
	struct device_counters *count = &rx->link->device->count;
	struct net_frame *frame = &read->frame;
	struct virtio_net_hdr_v1 header;

	rx->frames_read += length > 0;
	count->requests += length > 0;
	if (length >= (int32_t)sizeof(header) && (uint32_t)length <= frame->bytes &&
	    iov_read(&frame->data, &header, sizeof(header)) == sizeof(header) &&
	    net_header_to_guest(&header, rx->link->device->features)) {
		count->in_bytes += (uint64_t)length - sizeof(header);
		net_frame_deliver(frame, rx->link->device, &rx->pool, &header, (uint32_t)length);
	} else {
		count->errors += length > 0;
		net_frame_put_back(frame, &rx->pool);
	}
}

static void finish_batch(struct net_rx *rx)
{
	if (rx->link->tap->no_nowait)
		rx->frames_read = 0;
	/* As many reads next time as there were frames, and twice as many if that was all. */
	rx->batch_reads =
		rx->frames_read == rx->batch_reads ? rx->batch_reads * 2 : rx->frames_read;
	if (rx->batch_reads > NET_MAX_READS)
		rx->batch_reads = NET_MAX_READS;
	if (rx->batch_reads == 0)
		rx->batch_reads = 1;
	net_rx_continue(rx);
}

static void read_done(struct ring_op *op, int32_t result)
{
	struct net_read *read = container_of(op, struct net_read, op);
	struct net_rx *rx = read->rx;
	struct virtio_device *device = rx->link->device;

	virtio_device_lock(device);
	device->in_flight--;
	rx->reads_in_flight--;
	if (virtio_device_awaits(device, read->generation)) {
		if (result == -EBADFD)
			net_link_lose_tap(rx->link);
		frame_read(rx, read, result);
	}
	if (device->in_flight == 0)
		virtio_device_drained(device);
	if (rx->reads_in_flight == 0)
		finish_batch(rx);
	virtio_device_unlock(device);
}

static void prepare_read(struct net_rx *rx, struct net_read *read)
{
	struct io_uring_sqe *sqe = ring_prepare(rx->link->device->ring);
	struct net_frame *frame = &read->frame;

	net_frame_take(frame, rx->link->device, &rx->pool, frame_bytes(rx));
	frame->parts[frame->data.n] = (struct iovec){ rx->overflow, sizeof(rx->overflow) };
	read->op.done = read_done;
	read->rx = rx;
	read->generation = rx->link->device->generation;
	io_uring_prep_readv2(sqe, rx->link->tap->fd, frame->parts, frame->data.n + 1, (uint64_t)-1,
			     rx->link->tap->no_nowait ? 0 : RWF_NOWAIT);
	ring_commit(sqe, &read->op);
	rx->reads_in_flight++;
	rx->link->device->in_flight++;
}

static void poll_tap(struct net_rx *rx)
{
	struct io_uring_sqe *sqe = ring_prepare(rx->link->device->ring);

	io_uring_prep_poll_add(sqe, rx->link->tap->fd, POLLIN);
	ring_commit(sqe, &rx->poll_op);
	rx->polling = true;
}

/* Takes the guest's new buffers. False: it broke a rule, and the device is broken. */
static bool fill_pool(struct net_rx *rx)
{
	if (rx_pool_fill(&rx->pool, queue_of(rx), TAP_HEADER_BYTES, NET_MAX_FRAME_BYTES))
		return true;
	virtio_device_break(rx->link->device);
	return false;
}

/* A batch of reads, and behind them the poll for the next: under load one io_uring_enter() for both. */
static void read_batch(struct net_rx *rx)
{
	rx->frames_read = 0;
	while (rx->reads_in_flight < rx->batch_reads && ready_for_frame(rx))
		prepare_read(rx, &rx->reads[rx->reads_in_flight]);
	rx->batch_reads = rx->reads_in_flight > 0 ? rx->reads_in_flight : 1;
	/* No read: the driver was reset while the poll waited, and its kick for the new buffers has
	 * found the poll still there. */
	if (rx->reads_in_flight == 0)
		net_rx_continue(rx);
	else if (ready_for_frame(rx))
		poll_tap(rx);
}

static void tap_readable(struct ring_op *op, int32_t result)
{
	struct net_rx *rx = container_of(op, struct net_rx, poll_op);

	virtio_device_lock(rx->link->device);
	rx->polling = false;
	if (result > 0 && (result & (POLLERR | POLLHUP | POLLNVAL)))
		net_link_lose_tap(rx->link);
	else if (virtio_device_is_live(rx->link->device) && rx->reads_in_flight == 0 &&
		 has_open_queue(rx) && fill_pool(rx))
		read_batch(rx);
	virtio_device_unlock(rx->link->device);
}

void net_rx_continue(struct net_rx *rx)
{
	struct virtqueue *queue = queue_of(rx);

	if (rx->polling || rx->link->down || rx->reads_in_flight > 0 || !has_open_queue(rx) ||
	    !virtio_device_is_live(rx->link->device))
		return;
	virtqueue_disable_kicks(queue);
	do {
		if (!fill_pool(rx))
			return;
		if (ready_for_frame(rx)) {
			poll_tap(rx);
			return;
		}
	} while (virtqueue_enable_kicks(queue));
}

void net_rx_init(struct net_rx *rx, struct net_link *link)
{
	rx->link = link;
	rx->poll_op.done = tap_readable;
	rx->batch_reads = 1;
	net_rx_reset(rx);
}

void net_rx_reset(struct net_rx *rx)
{
	/* Also the buffers of reads in flight: no chain is taken off a queue before these are done. */
	rx_pool_reset(&rx->pool);
}
