/* From the guest to the TAP: all frames that are available become writes in one submission, which run
 * in order because RWF_NOWAIT lets none of them wait. A frame that the host does not take (interface
 * down, queue full, malformed) is dropped, as on a wire. */
#include <errno.h>

#include "host/container_of.h"
#include "virtio-mmio/net.h"

static void finish(struct net_write *write)
{
	struct net *net = write->net;

	virtqueue_push(&net->device.queues[NET_TX], write->chain.head, 0);
	net_signal_later(net);
	pool_put(&net->free_writes, write);
}

static void submit(struct net_write *write)
{
	struct net *net = write->net;
	struct io_uring_sqe *sqe = ring_prepare(net->ring);

	write->generation = net->device.generation;
	io_uring_prep_writev2(sqe, net->tap.fd, write->chain.readable.parts,
			      write->chain.readable.n, (uint64_t)-1,
			      net->tap.no_nowait ? 0 : RWF_NOWAIT);
	ring_commit(sqe, &write->op);
	net->device.in_flight++;
}

static void write_done(struct ring_op *op, int32_t result)
{
	struct net_write *write = container_of(op, struct net_write, op);
	struct net *net = write->net;
	struct virtio_device *device = &net->device;

	virtio_device_lock(device);
	device->in_flight--;
	if (result == -EBADFD)
		net_set_gone(net);
	if (write->generation != device->generation || !virtio_device_is_live(device))
		pool_put(&net->free_writes, write);
	else
		finish(write);
	if (device->in_flight == 0)
		virtio_device_drained(device);
	if (net->tx_starved && virtio_device_is_live(device))
		net_tx_take(net);
	virtio_device_unlock(device);
}

/* Only buffers that the device reads, and no more of them than the largest frame. */
static bool is_frame(const struct virtqueue_chain *chain)
{
	uint64_t bytes = iov_bytes(&chain->readable);

	return chain->writable.n == 0 && bytes > TAP_HEADER_BYTES && bytes <= NET_MAX_FRAME_BYTES;
}

void net_tx_init(struct net *net)
{
	pool_init(&net->free_writes, net->writes, sizeof(net->writes[0]), VIRTQUEUE_MAX_SIZE);
}

void net_tx_take(struct net *net)
{
	struct virtqueue *queue = &net->device.queues[NET_TX];

	net->tx_starved = false;
	virtqueue_disable_kicks(queue);
	for (unsigned share = queue->size; share > 0; share--) {
		struct net_write *write = pool_get(&net->free_writes);
		if (write == NULL) {
			net->tx_starved = true;
			return; /* write_done() goes on */
		}
		write->net = net;
		write->op.done = write_done;
		enum virtqueue_result result = virtqueue_pop(queue, &write->chain);
		if (result != VIRTQUEUE_CHAIN)
			pool_put(&net->free_writes, write);
		if (result == VIRTQUEUE_BROKEN) {
			virtio_device_break(&net->device);
			return;
		}
		if (result == VIRTQUEUE_EMPTY) {
			if (!virtqueue_enable_kicks(queue))
				return;
			continue;
		}
		if (!net->gone && is_frame(&write->chain))
			submit(write);
		else
			finish(write);
	}
	virtio_device_kick_again(&net->device, NET_TX);
}
