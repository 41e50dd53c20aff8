/* SPDX-License-Identifier: MIT */
/*
 * Derived, of struct net: link, tx, offloads_wanted, telling, offloads_told and next_change_ms are the new process's own, told again by
 * virtio_transport_restore().
 *
 * Of struct net_link: device, tap, name, news, down and news_task; of its config only the MAC address is kept.
 *
 * Of struct net_rx: link, poll_op, polling and batch_reads begin anew. At rest there are no reads, reads_in_flight or
 * frames_read, and overflow holds nothing.
 *
 * Of struct net_tx: link, starved, free_writes and writes: at rest all are free.
 *
 * Of struct net_stream: link, socket, starved, in, out, pause_op, frame and chain belong to the peer of one process.
 */
#include "virtio-mmio/net_state.h"

#include <string.h>

/* One of both has buffers. */
static struct rx_pool *pool_of(struct net *net)
{
	return net->link.tap != NULL ? &net->rx.pool : &net->stream.pool;
}

bool net_is_at_rest(const struct net *net)
{
	return net->device.in_flight == 0;
}

bool net_has_sent(const struct net *net)
{
	const struct net_half *out = &net->stream.out;

	return net->link.tap != NULL || net->link.down || out->from == out->to;
}

void net_save(const struct net *net, struct net_state *state)
{
	*state = (struct net_state){
		.mtu = net->link.config.mtu,
		.link_status = net->link.config.status,
	};
	memcpy(state->mac, net->link.config.mac, sizeof(state->mac));
	rx_pool_save(pool_of((struct net *)net), &state->pool);
}

bool net_restore(struct net *net, const struct net_state *state, struct error_text *error)
{
	struct virtio_device *device = &net->device;
	struct virtio_net_config *config = &net->link.config;

	if (state->pool.n > VIRTQUEUE_MAX_SIZE)
		return error_set(error, "net: no guest gets the buffers there");
	memcpy(config->mac, state->mac, sizeof(state->mac));
	if (config->status != state->link_status || config->mtu != state->mtu)
		virtio_device_config_changed(device);
	if (virtio_device_is_live(device) &&
	    !rx_pool_restore(pool_of(net), &device->queues[NET_RX], &state->pool,
			     sizeof(struct virtio_net_hdr_v1), NET_MAX_FRAME_BYTES))
		virtio_device_break(device);
	return true;
}
