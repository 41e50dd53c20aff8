/* SPDX-License-Identifier: MIT */
/*
 * Theory of operation. The driver walks a ladder of status bits: ACKNOWLEDGE, DRIVER, FEATURES_OK,
 * DRIVER_OK (virtio 1.2, 3.1.1). Each register may be written only on the rungs where the ladder
 * calls for it: features before FEATURES_OK, queues between FEATURES_OK and DRIVER_OK and only while
 * they are not ready. Every other write is ignored, so nothing that is in use ever changes. A queue
 * made ready with unusable values breaks the device. Writing 0 to the status goes back to the foot
 * of the ladder. The write waits for the operations of the earlier life that are in flight, because
 * drivers do not all wait for the 0 to read back as they should (2.4.1); but not for a disk that
 * hangs: after RESET_WAIT_MS the status reads as DEVICE_NEEDS_RESET until they are done, and a driver
 * that does not wait is served after that.
 */
#include "virtio-mmio/transport.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "mem/layout.h"
#include "virtio-mmio/queue_registers.h"

#define MAGIC_VALUE    0x74726976u /* "virt" */
#define MMIO_VERSION   2u
#define VENDOR_ID      0x564d4d76u /* "vMMV" */
#define REGISTER_BYTES 4u
#define RESET_WAIT_MS  100u

#define TRANSPORT_FEATURES                                                                         \
	(VIRTIO_FEATURE(VIRTIO_F_VERSION_1) | VIRTIO_FEATURE(VIRTIO_RING_F_INDIRECT_DESC) |        \
	 VIRTIO_FEATURE(VIRTIO_RING_F_EVENT_IDX))

/* The status bits that a driver may set, and what each presupposes. */
static const struct {
	uint32_t bit, needs;
} status_ladder[] = {
	{ VIRTIO_CONFIG_S_ACKNOWLEDGE, 0 },
	{ VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_ACKNOWLEDGE },
	{ VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_DRIVER },
	{ VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK },
	{ VIRTIO_CONFIG_S_FAILED, 0 },
};

uint64_t virtio_transport_features(const struct virtio_device *device)
{
	return device->offered_features | TRANSPORT_FEATURES;
}

/* The selected queue, or NULL if there is none of that number. */
static struct virtqueue *selected_queue(const struct virtio_transport *transport)
{
	struct virtio_device *device = transport->device;

	return transport->queue_sel < device->type->n_queues ? &device->queues[transport->queue_sel]
							     : NULL;
}

static void reset_device(struct virtio_transport *transport)
{
	struct virtio_device *device = transport->device;

	/* But not by the reset with which a driver begins: that follows its look at DeviceID. */
	if (device->status != 0)
		transport->claimed_by = VIRTIO_WINDOW_NONE;
	device->generation++;
	device->status = 0;
	device->features = 0;
	atomic_store(&device->interrupt_status, 0);
	memset(device->queues, 0, sizeof(device->queues));
	device->resetting = device->in_flight > 0;
	transport->device_features_sel = 0;
	transport->driver_features_sel = 0;
	transport->queue_sel = 0;
	if (device->type->reset != NULL)
		device->type->reset(device);
}

bool virtio_transport_accepts(const struct virtio_device *device, uint64_t features)
{
	return (features & ~virtio_transport_features(device)) == 0 &&
	       (features & VIRTIO_FEATURE(VIRTIO_F_VERSION_1)) != 0;
}

static void write_status(struct virtio_transport *transport, uint32_t value)
{
	struct virtio_device *device = transport->device;

	if (value == 0) {
		reset_device(transport);
		if (device->resetting && device->reset_wait_ms > 0)
			virtio_device_wait_drained(device);
		return;
	}
	for (size_t i = 0; i < sizeof(status_ladder) / sizeof(status_ladder[0]); i++) {
		uint32_t bit = status_ladder[i].bit, needs = status_ladder[i].needs;
		if (!(value & bit) || (device->status & bit) || (device->status & needs) != needs)
			continue;
		if (bit == VIRTIO_CONFIG_S_FEATURES_OK &&
		    !virtio_transport_accepts(device, device->features))
			continue; /* the driver reads back that it was refused */
		device->status |= bit;
		if (bit == VIRTIO_CONFIG_S_DRIVER_OK && device->type->activate != NULL)
			device->type->activate(device);
	}
}

static uint32_t read_status(const struct virtio_device *device)
{
	return device->status | (device->resetting ? VIRTIO_CONFIG_S_NEEDS_RESET : 0);
}

static void write_driver_features(struct virtio_transport *transport, uint32_t value)
{
	struct virtio_device *device = transport->device;
	unsigned shift = transport->driver_features_sel * 32;

	if (transport->driver_features_sel > 1 || !(device->status & VIRTIO_CONFIG_S_DRIVER) ||
	    (device->status & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	device->features &= ~((uint64_t)0xffffffff << shift);
	device->features |= (uint64_t)value << shift;
}

/* What is left to do without the lock. */
enum effect {
	EFFECT_NONE,
	EFFECT_ACTIVATED, /* the driver has got to DRIVER_OK */
	EFFECT_KICKED,
};

static enum effect write_register(struct virtio_transport *transport, uint64_t offset,
				  uint32_t value)
{
	struct virtio_device *device = transport->device;
	struct virtqueue *queue = selected_queue(transport);
	uint32_t status = device->status;

	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		transport->device_features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		transport->driver_features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		write_driver_features(transport, value);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		transport->queue_sel = value;
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		if (value >= device->type->n_queues)
			break;
		virtio_device_kick_again(device, value);
		return EFFECT_KICKED;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		atomic_fetch_and(&device->interrupt_status, ~value);
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(transport, value);
		break;
	default:
		if (queue != NULL)
			virtio_queue_write_register(device, queue, offset, value);
		break;
	}
	return device->status & ~status & VIRTIO_CONFIG_S_DRIVER_OK ? EFFECT_ACTIVATED
								    : EFFECT_NONE;
}

static uint32_t read_features(const struct virtio_transport *transport)
{
	uint64_t features = virtio_transport_features(transport->device);

	if (transport->device_features_sel > 1)
		return 0;
	return (uint32_t)(features >> (transport->device_features_sel * 32));
}

static uint32_t read_register(const struct virtio_transport *transport, uint64_t offset)
{
	const struct virtio_device *device = transport->device;
	const struct virtqueue *queue = selected_queue(transport);

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC_VALUE;
	case VIRTIO_MMIO_VERSION:
		return MMIO_VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return device->type->device_id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR_ID;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return read_features(transport);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return queue != NULL ? VIRTQUEUE_MAX_SIZE : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return queue != NULL && queue->ready;
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return atomic_load(&device->interrupt_status);
	case VIRTIO_MMIO_STATUS:
		return read_status(device);
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return UINT32_MAX; /* virtio 1.2, 4.2.2: no such region */
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return device->config_generation;
	default:
		return 0; /* write-only, or nothing */
	}
}

/* The registers of a window while the device is the other's. */
static uint32_t read_placeholder(uint64_t offset)
{
	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC_VALUE;
	case VIRTIO_MMIO_VERSION:
		return MMIO_VERSION;
	default:
		return 0; /* DeviceID among them */
	}
}

static bool is_others(const struct virtio_transport *transport, enum virtio_window window)
{
	return transport->claimed_by != VIRTIO_WINDOW_NONE && transport->claimed_by != window;
}

/* A look at DeviceID, and a driver's first step. What else a driver does comes after these. */
static bool claims(const struct bus_access *access)
{
	return access->is_write ? access->offset == VIRTIO_MMIO_STATUS &&
					  (uint32_t)bus_access_value(access) != 0
				: access->offset == VIRTIO_MMIO_DEVICE_ID;
}

/* Configuration space takes any width; what lies behind its end reads as 0. It is read-only. */
static void access_config(const struct virtio_transport *transport, enum virtio_window window,
			  const struct bus_access *access)
{
	struct virtio_device *device = transport->device;
	uint64_t offset = access->offset - VIRTIO_MMIO_CONFIG;

	if (access->is_write)
		return;
	memset(access->data, 0, access->length);
	if (offset >= device->config_bytes)
		return;
	uint64_t available = device->config_bytes - offset;
	virtio_device_lock(device);
	if (!is_others(transport, window))
		memcpy(access->data, device->config + offset,
		       access->length < available ? access->length : available);
	virtio_device_unlock(device);
}

/* With the lock. */
static enum effect access_register(struct virtio_transport *transport, enum virtio_window window,
				   const struct bus_access *access)
{
	if (is_others(transport, window)) {
		if (!access->is_write)
			bus_access_reply(access, read_placeholder(access->offset));
		return EFFECT_NONE;
	}
	if (claims(access))
		transport->claimed_by = window;
	if (access->is_write)
		return write_register(transport, access->offset,
				      (uint32_t)bus_access_value(access));
	bus_access_reply(access, read_register(transport, access->offset));
	return EFFECT_NONE;
}

/* A queue's first kick has come as an exit; the next ones are KVM's, which takes the time of some exits to set that up: many
 * queues are never kicked. Where it refuses, they go on as exits. */
static void connect_doorbell(struct virtio_transport *transport, enum virtio_window window,
			     uint32_t queue)
{
	unsigned bit = 1u << queue;

	if (!(atomic_fetch_or(&transport->connected[window], bit) & bit))
		doorbell_connect(&transport->doorbells[queue], *transport->device->irq.vm_fd,
				 transport->gpas[window] + VIRTIO_MMIO_QUEUE_NOTIFY);
}

static void access_window(struct virtio_transport *transport, enum virtio_window window,
			  const struct bus_access *access)
{
	struct virtio_device *device = transport->device;

	if (access->offset >= VIRTIO_MMIO_CONFIG) {
		access_config(transport, window, access);
		return;
	}
	/* virtio 1.2, 4.2.2.2: registers are accessed whole and aligned. */
	if (access->length != REGISTER_BYTES || access->offset % REGISTER_BYTES != 0) {
		if (!access->is_write)
			bus_access_reply(access, 0);
		return;
	}
	virtio_device_lock(device);
	enum effect effect = access_register(transport, window, access);
	virtio_device_unlock(device);
	if (effect == EFFECT_ACTIVATED && device->type->activated != NULL)
		device->type->activated(device);
	else if (effect == EFFECT_KICKED)
		connect_doorbell(transport, window, (uint32_t)bus_access_value(access));
}

void virtio_transport_access(void *context, const struct bus_access *access)
{
	access_window(context, VIRTIO_WINDOW_WORDS, access);
}

void virtio_transport_access_acpi(void *context, const struct bus_access *access)
{
	access_window(context, VIRTIO_WINDOW_ACPI, access);
}

static void kicked(void *context, uint32_t queue)
{
	struct virtio_device *device = context;

	virtio_device_lock(device);
	if (virtio_device_is_live(device) && device->queues[queue].ready)
		device->type->queue_notify(device, queue);
	else if (device->type->kicked_after_reset != NULL)
		device->type->kicked_after_reset(device);
	virtio_device_unlock(device);
}

void virtio_transport_init(struct virtio_transport *transport, struct virtio_device *device)
{
	*transport = (struct virtio_transport){ .device = device };
}

void virtio_transport_attach(struct virtio_transport *transport, const int *vm_fd, struct bus *mmio,
			     struct ring *ring, uint64_t gpa, uint32_t gsi)
{
	struct virtio_device *device = transport->device;

	transport->gpas[VIRTIO_WINDOW_WORDS] = gpa;
	bus_add(mmio, gpa, LAYOUT_VIRTIO_BYTES, virtio_transport_access, transport);
	device->irq = (struct irq_line){ vm_fd, gsi };
	device->reset_wait_ms = RESET_WAIT_MS;
	for (unsigned i = 0; i < device->type->n_queues; i++) {
		doorbell_open(&transport->doorbells[i], ring, i, kicked, device);
		device->kick_fds[i] = transport->doorbells[i].event.fd;
	}
}

void virtio_transport_attach_acpi(struct virtio_transport *transport, struct bus *mmio,
				  uint64_t gpa)
{
	transport->gpas[VIRTIO_WINDOW_ACPI] = gpa;
	bus_add(mmio, gpa, LAYOUT_VIRTIO_BYTES, virtio_transport_access_acpi, transport);
}

void virtio_transport_start(struct virtio_transport *transport)
{
	for (unsigned i = 0; i < transport->device->type->n_queues; i++)
		doorbell_start(&transport->doorbells[i]);
}

void virtio_transport_detach(struct virtio_transport *transport)
{
	for (unsigned i = 0; i < transport->device->type->n_queues; i++)
		doorbell_close(&transport->doorbells[i]);
}
