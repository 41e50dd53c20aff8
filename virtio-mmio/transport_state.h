/* SPDX-License-Identifier: MIT */
/* What a snapshot keeps of a virtio device's registers and queues. The device's own part is in a file beside it. */
#ifndef VIRTIO_MMIO_TRANSPORT_STATE_H
#define VIRTIO_MMIO_TRANSPORT_STATE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/error.h"
#include "virtio-mmio/transport.h"

struct virtqueue_state {
	uint64_t desc_gpa, avail_gpa, used_gpa;
	uint16_t size, next_avail, next_used, signalled_used;
	uint8_t ready, reserved[7];
};
static_assert(sizeof(struct virtqueue_state) == 40, "a file's format");

struct virtio_transport_state {
	uint64_t features;
	uint32_t device_id, status, config_generation, interrupt_status;
	uint32_t claimed_by, device_features_sel, driver_features_sel, queue_sel;
	struct virtqueue_state queues[VIRTIO_MAX_QUEUES];
};
static_assert(sizeof(struct virtio_transport_state) == 160, "a file's format");

/* The device is at rest: no operation of it is in flight. */
void virtio_transport_save(const struct virtio_transport *transport,
			   struct virtio_transport_state *state);

/* Before the device's own part. The device is new and attached, guest memory is what it was, and the ring does not run yet:
 * when it does, each ready queue is looked at as after a kick. False: no guest gets a device there, or the host's offers
 * less than the guest has accepted. */
bool virtio_transport_restore(struct virtio_transport *transport,
			      const struct virtio_transport_state *state, struct error_text *error);

#endif
