/*
 * Theory of operation. Chains of the guest are taken off the queue into a pool. When they are enough
 * for a frame, the ring polls the TAP; when it is readable, a batch of reads is prepared, each with as
 * many buffers as the largest frame may need, and the next poll behind them. RWF_NOWAIT makes the reads
 * run one after the other inside the submission: frames stay in order, and a read without a frame ends
 * at once (O_NONBLOCK alone does not do that: the ring would wait for the frame, with the buffers). A TUN
 * without it, such as Linux 6.1's, gets one read for each poll, which always finds its frame. Buffers
 * that a frame did not need go back to the front of the pool. Without buffers nothing is polled: the TAP
 * keeps the frames, and the driver's next kick goes on.
 */
#include <errno.h>
#include <poll.h>

#include "host/container_of.h"
#include "virtio-mmio/net.h"

#define ETHERNET_BYTES (14u + 4u) /* with a VLAN tag */
#define DEFAULT_MTU    1500u
#define GSO_UDP_L4     5

#define FEATURE(bit) ((uint64_t)1 << (bit))
#define GUEST_OFFLOADS                                                                             \
	(FEATURE(VIRTIO_NET_F_GUEST_TSO4) | FEATURE(VIRTIO_NET_F_GUEST_TSO6) |                     \
	 FEATURE(VIRTIO_NET_F_GUEST_UFO) | FEATURE(54) | FEATURE(55))

static bool has(const struct net *net, unsigned feature)
{
	return net->device.features >> feature & 1;
}

/* What the largest frame that the host may send needs. */
static uint32_t frame_bytes(const struct net *net)
{
	uint32_t mtu = net->config.mtu > DEFAULT_MTU ? net->config.mtu : DEFAULT_MTU;

	if (net->device.features & GUEST_OFFLOADS)
		return NET_MAX_FRAME_BYTES;
	return TAP_HEADER_BYTES + ETHERNET_BYTES + mtu;
}

/* Whether the pool has buffers for one frame. A driver with few buffers in all gets what they can
 * hold: half a queue is always enough. */
static bool ready_for_frame(const struct net *net)
{
	const struct rx_pool *pool = &net->pool;

	if (pool->n_ready == 0)
		return false;
	return !has(net, VIRTIO_NET_F_MRG_RXBUF) || pool->ready_bytes >= frame_bytes(net) ||
	       pool->n_ready >= net->device.queues[NET_RX].size / 2u ||
	       pool->n_ready >= NET_READ_BUFFERS;
}

static void add_parts(struct net_read *read, struct rx_buffer *buffer)
{
	iov_append(&read->frame, &buffer->parts, 0, buffer->bytes);
	read->bytes += buffer->bytes;
	read->buffers[read->n_buffers++] = buffer;
}

static void prepare_read(struct net *net, struct net_read *read)
{
	struct io_uring_sqe *sqe = ring_prepare(net->ring);
	unsigned most = has(net, VIRTIO_NET_F_MRG_RXBUF) ? NET_READ_BUFFERS : 1;

	read->n_buffers = 0;
	read->bytes = 0;
	read->frame = (struct iov){ read->parts, 0 };
	while (net->pool.ready != NULL && read->n_buffers < most &&
	       read->bytes < frame_bytes(net) &&
	       read->frame.n + net->pool.ready->parts.n <= NET_READ_PARTS)
		add_parts(read, rx_pool_take(&net->pool));
	read->parts[read->frame.n] = (struct iovec){ net->overflow, sizeof(net->overflow) };
	read->generation = net->device.generation;
	io_uring_prep_readv2(sqe, net->tap.fd, read->parts, read->frame.n + 1, (uint64_t)-1,
			     net->tap.no_nowait ? 0 : RWF_NOWAIT);
	ring_commit(sqe, &read->op);
	net->reads_in_flight++;
	net->device.in_flight++;
}

/* Frames that were queued before the driver's features were known may need what it lacks. */
static bool frame_acceptable(const struct net *net, const struct virtio_net_hdr_v1 *header)
{
	if ((header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && !has(net, VIRTIO_NET_F_GUEST_CSUM))
		return false;
	switch (header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return true;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return has(net, VIRTIO_NET_F_GUEST_TSO4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return has(net, VIRTIO_NET_F_GUEST_TSO6);
	case VIRTIO_NET_HDR_GSO_UDP:
		return has(net, VIRTIO_NET_F_GUEST_UFO);
	case GSO_UDP_L4:
		return has(net, 54) && has(net, 55);
	default:
		return false;
	}
}

/* Gives the frame to the guest in as many chains as it fills (virtio 1.2, 5.1.6.4), the rest of the
 * buffers back to the pool. */
static void deliver(struct net *net, struct net_read *read, struct virtio_net_hdr_v1 *header,
		    uint32_t length)
{
	struct virtqueue *queue = &net->device.queues[NET_RX];
	uint16_t used = 0;

	for (uint32_t left = length; left > 0; used++) {
		uint32_t bytes = read->buffers[used]->bytes;
		left -= left < bytes ? left : bytes;
	}
	header->num_buffers = used;
	iov_write(&read->frame, header, sizeof(*header));
	for (uint16_t i = 0; i < used; i++) {
		struct rx_buffer *buffer = read->buffers[i];
		uint32_t written = length < buffer->bytes ? length : buffer->bytes;
		length -= written;
		virtqueue_put(queue, i, buffer->head, written);
		rx_pool_put(&net->pool, buffer);
	}
	virtqueue_publish(queue, used);
	for (unsigned i = read->n_buffers; i > used; i--)
		rx_pool_untake(&net->pool, read->buffers[i - 1]);
	net_signal_later(net);
}

/* A frame of `length` bytes, or none. */
static void frame_read(struct net *net, struct net_read *read, int32_t length)
{
	struct virtio_net_hdr_v1 header;

	net->frames_read += length > 0;
	if (length >= (int32_t)sizeof(header) && (uint32_t)length <= read->bytes &&
	    iov_read(&read->frame, &header, sizeof(header)) == sizeof(header) &&
	    frame_acceptable(net, &header))
		deliver(net, read, &header, (uint32_t)length);
	else
		for (unsigned i = read->n_buffers; i > 0; i--)
			rx_pool_untake(&net->pool, read->buffers[i - 1]);
}

static void finish_batch(struct net *net)
{
	if (net->tap.no_nowait)
		net->frames_read = 0;
	/* As many reads next time as there were frames, and twice as many if that was all. */
	net->batch_reads =
		net->frames_read == net->batch_reads ? net->batch_reads * 2 : net->frames_read;
	if (net->batch_reads > NET_MAX_READS)
		net->batch_reads = NET_MAX_READS;
	if (net->batch_reads == 0)
		net->batch_reads = 1;
	net_rx_continue(net);
}

static void read_done(struct ring_op *op, int32_t result)
{
	struct net_read *read = container_of(op, struct net_read, op);
	struct net *net = read->net;
	struct virtio_device *device = &net->device;

	virtio_device_lock(device);
	device->in_flight--;
	net->reads_in_flight--;
	if (read->generation == device->generation && virtio_device_is_live(device)) {
		if (result == -EBADFD)
			net_set_gone(net);
		frame_read(net, read, result);
	}
	if (device->in_flight == 0)
		virtio_device_drained(device);
	if (net->reads_in_flight == 0)
		finish_batch(net);
	virtio_device_unlock(device);
}

static void poll_tap(struct net *net)
{
	struct io_uring_sqe *sqe = ring_prepare(net->ring);

	io_uring_prep_poll_add(sqe, net->tap.fd, POLLIN);
	ring_commit(sqe, &net->poll_op);
	net->polling = true;
}

/* Takes the guest's new buffers. False: it broke a rule, and the device is broken. */
static bool fill_pool(struct net *net)
{
	if (rx_pool_fill(&net->pool, &net->device.queues[NET_RX], TAP_HEADER_BYTES,
			 NET_MAX_FRAME_BYTES))
		return true;
	virtio_device_break(&net->device);
	return false;
}

/* A batch of reads, and behind them the poll for the next: under load one io_uring_enter() for both. */
static void read_batch(struct net *net)
{
	net->frames_read = 0;
	while (net->reads_in_flight < net->batch_reads && ready_for_frame(net))
		prepare_read(net, &net->reads[net->reads_in_flight]);
	net->batch_reads = net->reads_in_flight > 0 ? net->reads_in_flight : 1;
	/* No read: the driver was reset while the poll waited, and its kick for the new buffers has
	 * found the poll still there. */
	if (net->reads_in_flight == 0)
		net_rx_continue(net);
	else if (ready_for_frame(net))
		poll_tap(net);
}

static void tap_readable(struct ring_op *op, int32_t result)
{
	struct net *net = container_of(op, struct net, poll_op);

	virtio_device_lock(&net->device);
	net->polling = false;
	if (result > 0 && (result & (POLLERR | POLLHUP | POLLNVAL)))
		net_set_gone(net);
	else if (virtio_device_is_live(&net->device) && net->reads_in_flight == 0 &&
		 net->device.queues[NET_RX].ready && fill_pool(net))
		read_batch(net);
	virtio_device_unlock(&net->device);
}

void net_rx_continue(struct net *net)
{
	struct virtqueue *queue = &net->device.queues[NET_RX];

	if (net->polling || net->gone || net->reads_in_flight > 0 || !queue->ready ||
	    !virtio_device_is_live(&net->device))
		return;
	virtqueue_disable_kicks(queue);
	do {
		if (!fill_pool(net))
			return;
		if (ready_for_frame(net)) {
			poll_tap(net);
			return;
		}
	} while (virtqueue_enable_kicks(queue));
}

void net_rx_init(struct net *net)
{
	net->poll_op.done = tap_readable;
	net->batch_reads = 1;
	for (unsigned i = 0; i < NET_MAX_READS; i++) {
		net->reads[i].op.done = read_done;
		net->reads[i].net = net;
	}
	net_rx_reset(net);
}

void net_rx_reset(struct net *net)
{
	/* Buffers of reads in flight, too: nothing is taken off a queue before those are done. */
	rx_pool_reset(&net->pool);
}
