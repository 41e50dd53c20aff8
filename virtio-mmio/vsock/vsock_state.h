/* SPDX-License-Identifier: MIT */
/* What a snapshot keeps of a vsock beside its queues: nothing of the connections, which a restored guest is told are over. */
#ifndef VIRTIO_MMIO_VSOCK_VSOCK_STATE_H
#define VIRTIO_MMIO_VSOCK_VSOCK_STATE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/error.h"
#include "virtio-mmio/rx_pool.h"
#include "virtio-mmio/vsock/vsock.h"

struct vsock_device_state {
	uint32_t guest_cid, next_host_port;
	struct rx_pool_state pool;
	uint16_t reserved;
};
static_assert(sizeof(struct vsock_device_state) == 268, "a file's format");

/* At rest: device.in_flight is 0. */
void vsock_save(const struct vsock *vsock, struct vsock_device_state *state);

/* After virtio_transport_restore(), before ring_start(). The CID stays the new one. A chain that is no buffer any more breaks
 * the device, as it would have. False: no guest gets a vsock there. */
bool vsock_restore(struct vsock *vsock, const struct vsock_device_state *state,
		   struct error_text *error);

/* Between vsock_restore() and vsock_start(): another CID than vsock_open()'s, of which the guest is told. */
void vsock_change_cid(struct vsock *vsock, uint32_t guest_cid);

#endif
