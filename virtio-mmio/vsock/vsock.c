/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/vsock/vsock.h"

#include <linux/virtio_ids.h>

#include "host/container_of.h"

#define HOLD_NS 100000000

static struct vsock *vsock_of(struct virtio_device *device)
{
	return container_of(device, struct vsock, device);
}

static void drop_old(struct vsock *vsock)
{
	if (vsock->drop_old)
		vsock_connections_drop_old(&vsock->connections);
	vsock->drop_old = false;
}

/* Replies that are sent make room for packets that have waited: after other work of the ring. */
static void send_to_guest(struct vsock *vsock)
{
	struct vsock_table *table = &vsock->connections.table;
	bool was_full = !vsock_table_has_reply_room(table);

	vsock_rx_run(&vsock->rx);
	if (vsock->tx.stalled && was_full && vsock_table_has_reply_room(table))
		virtio_device_kick_again(&vsock->device, VSOCK_TX);
}

static void hold_is_over(struct ring_op *op, int32_t result)
{
	struct vsock *vsock = container_of(op, struct vsock, hold_op);

	(void)result; /* ETIME */
	virtio_device_lock(&vsock->device);
	vsock->holds_programs = false;
	virtio_device_unlock(&vsock->device);
	ring_after_batch(vsock->device.ring, &vsock->task);
}

/* For a driver that has no buffers for events, or gives none back. */
static void limit_hold(struct vsock *vsock)
{
	static struct __kernel_timespec limit = { .tv_nsec = HOLD_NS };
	struct io_uring_sqe *sqe = ring_prepare(vsock->device.ring);

	vsock->hold_op.done = hold_is_over;
	io_uring_prep_timeout(sqe, &limit, 0, 0);
	ring_commit(sqe, &vsock->hold_op);
}

/* virtio 1.2, 5.10.6.7. A driver gives the buffer back once it has done what it is told. */
static void tell_news(struct vsock *vsock)
{
	struct virtio_vsock_event event = { .id = VIRTIO_VSOCK_EVENT_TRANSPORT_RESET };
	struct virtqueue_chain *chain = &vsock->rx.pool.popped;
	struct virtio_device *device = &vsock->device;

	if (!virtio_device_is_live(device) || !device->queues[VSOCK_EVENT].ready)
		return;
	struct virtio_turn turn = virtio_turn_begin(device, VSOCK_EVENT);
	if (!virtio_turn_take(&turn, chain))
		return;
	virtqueue_push(&device->queues[VSOCK_EVENT], chain->head,
		       (uint32_t)iov_write(&chain->writable, &event, sizeof(event)));
	vsock->news_index = virtqueue_await_next(&device->queues[VSOCK_EVENT]);
	vsock->news = VSOCK_NEWS_TOLD;
}

/* The work that follows a batch of completions. The order matters: no packet of a new driver meets an old connection, and
 * the guest hears of an end before the next program gets the place. */
static void after_batch(struct ring_task *task)
{
	struct vsock *vsock = container_of(task, struct vsock, task);

	virtio_device_lock(&vsock->device);
	drop_old(vsock);
	if (vsock->news == VSOCK_NEWS_DUE)
		tell_news(vsock);
	if (vsock_tx_has_work(&vsock->tx))
		vsock_tx_run(&vsock->tx);
	if (vsock_rx_has_work(&vsock->rx))
		send_to_guest(vsock);
	if (!vsock->holds_programs && vsock_listener_has_work(&vsock->listener))
		vsock_listener_accept(&vsock->listener);
	if (virtio_device_is_live(&vsock->device))
		virtio_device_signal(&vsock->device);
	virtio_device_unlock(&vsock->device);
}

/* Buffers for events stay with the device, until there are news. */
static void queue_notify(struct virtio_device *device, unsigned queue)
{
	struct vsock *vsock = vsock_of(device);

	vsock->tx.kicked |= queue == VSOCK_TX;
	vsock->rx.kicked |= queue == VSOCK_RX;
	if (queue == VSOCK_EVENT && vsock->news == VSOCK_NEWS_TOLD &&
	    virtqueue_await_next(&device->queues[VSOCK_EVENT]) != vsock->news_index) {
		vsock->news = VSOCK_NEWS_NONE;
		vsock->holds_programs = false;
	}
	ring_after_batch(device->ring, &vsock->task);
}

/* On a vCPU's thread, which must not use the ring: the connections end later, on the ring's. */
static void reset(struct virtio_device *device)
{
	struct vsock *vsock = vsock_of(device);

	vsock_tx_reset(&vsock->tx);
	vsock_rx_reset(&vsock->rx);
	vsock_connections_reset(&vsock->connections);
	vsock->drop_old = true;
	vsock->news = VSOCK_NEWS_NONE;
	vsock->holds_programs = false;
	virtio_device_kick_again(device, VSOCK_RX);
}

static void kicked_after_reset(struct virtio_device *device)
{
	struct vsock *vsock = vsock_of(device);

	ring_after_batch(device->ring, &vsock->task);
}

static const struct virtio_device_type vsock_type = {
	.name = "vsock",
	.device_id = VIRTIO_ID_VSOCK,
	.n_queues = VSOCK_QUEUES,
	.queue_notify = queue_notify,
	.reset = reset,
	.kicked_after_reset = kicked_after_reset,
};

void vsock_open(struct vsock *vsock, uint32_t guest_cid, const struct listen_socket *listener,
		struct vsock_target target, const struct guest_memory *memory, struct ring *ring)
{
	struct virtio_device *device = &vsock->device;

	virtio_device_init(device, &vsock_type, memory, ring);
	vsock->config.guest_cid = guest_cid;
	device->config = (const uint8_t *)&vsock->config;
	device->config_bytes = sizeof(vsock->config);
	vsock->task.run = after_batch;
	vsock_sockets_open(&vsock->sockets, ring, &device->lock, &vsock->task);
	vsock_connections_open(&vsock->connections, &vsock->sockets, target);
	vsock_tx_init(&vsock->tx, device, VSOCK_TX, &vsock->connections, guest_cid);
	vsock_rx_init(&vsock->rx, device, VSOCK_RX, &vsock->connections, guest_cid);
	vsock_listener_init(&vsock->listener, device, &vsock->connections, listener);
}

void vsock_start(struct vsock *vsock)
{
	vsock_sockets_start(&vsock->sockets);
	/* The guest runs already, and may reset the table. */
	virtio_device_lock(&vsock->device);
	if (vsock->holds_programs)
		limit_hold(vsock);
	else
		vsock_listener_accept(&vsock->listener);
	virtio_device_unlock(&vsock->device);
}
