/* SPDX-License-Identifier: MIT */
/*
 * Derived, of struct virtio_transport: device, gpas, connected and doorbells are the new process's own.
 *
 * Of struct virtio_device: type, offered_features, config, config_bytes, memory, ring, signal_task, lock, drained,
 * reset_wait_ms, irq and kick_fds are the new process's. At rest in_flight is 0 and resetting false. generation tells lives
 * within one process apart, and count begins anew.
 *
 * Of struct virtqueue: memory, desc, avail, used, event_idx and indirect follow from the addresses and the features. closed
 * is the old process's own.
 */
#include "virtio-mmio/transport_state.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>

#define STATUS_BITS                                                                                \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |      \
	 VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FAILED | VIRTIO_CONFIG_S_NEEDS_RESET)

static void save_queue(const struct virtqueue *queue, struct virtqueue_state *state)
{
	*state = (struct virtqueue_state){
		.desc_gpa = queue->desc_gpa,
		.avail_gpa = queue->avail_gpa,
		.used_gpa = queue->used_gpa,
		.size = queue->size,
		.next_avail = queue->next_avail,
		.next_used = queue->next_used,
		.signalled_used = queue->signalled_used,
		.ready = queue->ready,
	};
}

void virtio_transport_save(const struct virtio_transport *transport,
			   struct virtio_transport_state *state)
{
	const struct virtio_device *device = transport->device;

	*state = (struct virtio_transport_state){
		.features = device->features,
		.device_id = device->type->device_id,
		.status = device->status,
		.config_generation = device->config_generation,
		.interrupt_status = atomic_load(&device->interrupt_status),
		.claimed_by = transport->claimed_by,
		.device_features_sel = transport->device_features_sel,
		.driver_features_sel = transport->driver_features_sel,
		.queue_sel = transport->queue_sel,
	};
	for (unsigned i = 0; i < device->type->n_queues; i++)
		save_queue(&device->queues[i], &state->queues[i]);
}

static bool restore_queue(struct virtio_device *device, struct virtqueue *queue,
			  const struct virtqueue_state *state)
{
	if (state->size > VIRTQUEUE_MAX_SIZE || state->ready > 1)
		return false;
	queue->desc_gpa = state->desc_gpa;
	queue->avail_gpa = state->avail_gpa;
	queue->used_gpa = state->used_gpa;
	queue->size = state->size;
	if (!state->ready)
		return true;
	if (!(device->status & VIRTIO_CONFIG_S_FEATURES_OK) ||
	    !virtqueue_make_ready(queue, device->memory,
				  virtio_device_has_feature(device, VIRTIO_RING_F_EVENT_IDX),
				  virtio_device_has_feature(device, VIRTIO_RING_F_INDIRECT_DESC)))
		return false;
	queue->next_avail = state->next_avail;
	queue->next_used = state->next_used;
	queue->signalled_used = state->signalled_used;
	return true;
}

/* What write_status() (transport.c) lets a driver reach: each bit with the one before it. */
static bool status_is_possible(uint32_t status)
{
	uint32_t ladder = status & (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);

	if (status & VIRTIO_CONFIG_S_FEATURES_OK)
		ladder |= 4;
	if (status & VIRTIO_CONFIG_S_DRIVER_OK)
		ladder |= 8;
	return (status & ~(uint32_t)STATUS_BITS) == 0 && (ladder & (ladder + 1)) == 0;
}

static bool restore_registers(struct virtio_transport *transport,
			      const struct virtio_transport_state *state)
{
	struct virtio_device *device = transport->device;

	if (!status_is_possible(state->status) || state->claimed_by > VIRTIO_WINDOW_ACPI ||
	    (state->claimed_by == VIRTIO_WINDOW_ACPI && transport->gpas[VIRTIO_WINDOW_ACPI] == 0))
		return false;
	transport->claimed_by = (enum virtio_window)state->claimed_by;
	transport->device_features_sel = state->device_features_sel;
	transport->driver_features_sel = state->driver_features_sel;
	transport->queue_sel = state->queue_sel;
	device->features = state->features;
	device->status = state->status;
	device->config_generation = state->config_generation;
	atomic_store(&device->interrupt_status,
		     state->interrupt_status & (VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG));
	for (unsigned i = 0; i < device->type->n_queues; i++)
		if (!restore_queue(device, &device->queues[i], &state->queues[i]))
			return false;
	return true;
}

static void go_on(struct virtio_transport *transport)
{
	struct virtio_device *device = transport->device;

	if (!(device->status & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	if (device->type->activate != NULL) {
		virtio_device_lock(device);
		device->type->activate(device);
		virtio_device_unlock(device);
	}
	if (device->type->activated != NULL)
		device->type->activated(device);
	for (unsigned i = 0; i < device->type->n_queues; i++)
		if (device->queues[i].ready)
			virtio_device_kick_again(device, i);
}

bool virtio_transport_restore(struct virtio_transport *transport,
			      const struct virtio_transport_state *state, struct error_text *error)
{
	struct virtio_device *device = transport->device;

	if (state->device_id != device->type->device_id)
		return error_set(error, "%s: expected device %u, the snapshot has %u",
				 device->type->name, device->type->device_id, state->device_id);
	if ((state->status & VIRTIO_CONFIG_S_FEATURES_OK) &&
	    !virtio_transport_accepts(device, state->features))
		return error_set(
			error,
			"%s: the guest has accepted features 0x%llx, which the host's does "
			"not all have: 0x%llx",
			device->type->name, (unsigned long long)state->features,
			(unsigned long long)virtio_transport_features(device));
	if (!restore_registers(transport, state))
		return error_set(error, "%s: no guest gets the registers there",
				 device->type->name);
	go_on(transport);
	return true;
}
