#include "virtio-mmio/vsock/vsock.h"

#include <linux/virtio_ids.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "host/fail.h"

static struct vsock *vsock_of(struct virtio_device *device)
{
	return (struct vsock *)device;
}

static void signal_guest(struct ring_task *task)
{
	struct vsock *vsock = (struct vsock *)((char *)task - offsetof(struct vsock, signal_task));

	virtio_device_lock(&vsock->device);
	if (virtio_device_is_live(&vsock->device))
		for (unsigned i = 0; i < VSOCK_QUEUES; i++)
			if (vsock->device.queues[i].ready)
				virtio_device_signal(&vsock->device, &vsock->device.queues[i]);
	virtio_device_unlock(&vsock->device);
}

void vsock_signal_later(struct vsock *vsock)
{
	ring_after_batch(vsock->ring, &vsock->signal_task);
}

void vsock_drop_old(struct vsock *vsock)
{
	struct vsock_link *first;

	if (!vsock->drop_old)
		return;
	while ((first = vsock_list_first(&vsock->to_send)) != NULL)
		vsock_list_remove(first);
	for (unsigned i = 0; i < vsock->fresh_connections; i++) {
		struct vsock_connection *connection = &vsock->connections[i];
		enum vsock_state state = connection->stream.state;
		if (state == VSOCK_ENDING)
			vsock_release_if_over(connection);
		else if (state != VSOCK_FREE && state != VSOCK_ACCEPTING && state != VSOCK_GREETING)
			vsock_end(connection, false);
	}
	vsock->drop_old = false;
}

/* Buffers for events stay with the device: the only event is a migration's (5.10.6.7). */
static void queue_notify(struct virtio_device *device, unsigned queue)
{
	struct vsock *vsock = vsock_of(device);

	vsock_drop_old(vsock); /* a packet of the new driver must not meet them */
	if (queue == VSOCK_TX)
		vsock_tx_run(vsock);
	if (queue != VSOCK_EVENT)
		vsock_rx_run(vsock);
}

/* On a vCPU's thread, which must not use the ring: the connections end there, later. */
static void reset(struct virtio_device *device)
{
	struct vsock *vsock = vsock_of(device);

	rx_pool_reset(&vsock->pool);
	vsock->n_replies = 0;
	vsock->tx_stalled = false;
	vsock->drop_old = true;
	virtio_device_kick_again(device, VSOCK_RX);
}

static void kicked_after_reset(struct virtio_device *device)
{
	vsock_drop_old(vsock_of(device));
}

static const struct virtio_device_type vsock_type = {
	.name = "vsock",
	.device_id = VIRTIO_ID_VSOCK,
	.n_queues = VSOCK_QUEUES,
	.queue_notify = queue_notify,
	.reset = reset,
	.kicked_after_reset = kicked_after_reset,
};

/* The kernel gives each process 16 random bytes. The C library takes the first 8 for the canary of its
 * stacks. */
static void make_port_key(struct vsock *vsock)
{
	unsigned long address = getauxval(AT_RANDOM);
	const uint8_t *random;

	memcpy(&random, &address, sizeof(random));
	memcpy(&vsock->port_key[0], random + 8, 8);
	vsock->port_key[1] = ~vsock->port_key[0];
}

void vsock_init(struct vsock *vsock, uint32_t guest_cid, int listen_fd, const char *path,
		const struct guest_memory *memory, struct ring *ring)
{
	virtio_device_init(&vsock->device, &vsock_type, memory);
	vsock->config.guest_cid = guest_cid;
	vsock->device.config = (const uint8_t *)&vsock->config;
	vsock->device.config_bytes = sizeof(vsock->config);
	vsock->ring = ring;
	vsock->path = path;
	vsock->listen_fd = listen_fd;
	vsock->half_ended_fd = epoll_create1(EPOLL_CLOEXEC);
	if (vsock->half_ended_fd < 0)
		fail_errno(EXIT_HOST_REFUSED, "cannot create an epoll for the vsock");
	ring_allow_sockets(ring);
	make_port_key(vsock);
	vsock->signal_task.run = signal_guest;
	/* Address space only: a connection's part is used when its socket does not keep up. */
	vsock->buffers =
		mmap(NULL, (size_t)VSOCK_MAX_CONNECTIONS * VSOCK_BUFFER_BYTES,
		     PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (vsock->buffers == MAP_FAILED)
		fail_errno(EXIT_HOST_REFUSED, "cannot map the vsock buffers");
	/* A huge page would be 16 connections' for the first byte of one. No kernel support: none. */
	madvise(vsock->buffers, (size_t)VSOCK_MAX_CONNECTIONS * VSOCK_BUFFER_BYTES,
		MADV_NOHUGEPAGE);
	rx_pool_reset(&vsock->pool);
	vsock_list_init(&vsock->to_send);
	vsock_list_init(&vsock->departed);
	vsock_list_init(&vsock->greeting);
	vsock_list_init(&vsock->full);
	vsock_rx_init(vsock);
}

void vsock_start(struct vsock *vsock)
{
	vsock_watch_half_ended(vsock);
	vsock_accept_next(vsock);
}
