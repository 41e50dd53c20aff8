/* SPDX-License-Identifier: MIT */
/*
 * Derived, of struct vsock: config, task, tx, sockets, news, news_index, holds_programs and hold_op are the new process's own. drop_old is about
 * connections, none of which lives on.
 *
 * Of struct vsock_tx: device, queue, all, guest_cid. At rest no packets are taken, and all of the pool is free; kicked and stalled
 * follow from the kick of each queue.
 *
 * Of struct vsock_rx: device, queue, all, guest_cid. At rest there are no receives; kicked follows.
 *
 * Of struct vsock_listener, all but next_host_port is the new process's: device, all, socket, accept_op, pause_op, timer_op, place,
 * paused, given_up, timer_runs, timer_end, greetings, pool.
 *
 * Of struct vsock_connections, all of it: table, sockets, target, generation, backlogs, buffers, places.
 */
#include "virtio-mmio/vsock/vsock_state.h"

#include "virtio-mmio/vsock/stream.h"

void vsock_save(const struct vsock *vsock, struct vsock_device_state *state)
{
	*state = (struct vsock_device_state){
		.guest_cid = (uint32_t)vsock->config.guest_cid,
		.next_host_port = vsock->listener.next_host_port,
	};
	rx_pool_save(&vsock->rx.pool, &state->pool);
}

void vsock_change_cid(struct vsock *vsock, uint32_t guest_cid)
{
	vsock->config.guest_cid = vsock->tx.guest_cid = vsock->rx.guest_cid = guest_cid;
	vsock->device.config_generation++;
}

bool vsock_restore(struct vsock *vsock, const struct vsock_device_state *state,
		   struct error_text *error)
{
	struct virtio_device *device = &vsock->device;
	const struct virtqueue *queue = &device->queues[VSOCK_RX];

	if (state->pool.n > VIRTQUEUE_MAX_SIZE)
		return error_set(error, "vsock: no guest gets the buffers there");
	/* Those who connect do not meet a port that the guest still knows. */
	vsock->listener.next_host_port = state->next_host_port;
	if (vsock->config.guest_cid != state->guest_cid)
		device->config_generation++;
	if (!virtio_device_is_live(device))
		return true;
	vsock->news = VSOCK_NEWS_DUE;
	vsock->holds_programs = true;
	if (!rx_pool_restore(&vsock->rx.pool, queue, &state->pool, VSOCK_HEADER_BYTES + 1,
			     VSOCK_HEADER_BYTES + VSOCK_PACKET_BYTES))
		virtio_device_break(device);
	return true;
}
