/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/transport.h"

#include <linux/virtio_mmio.h>
#include <stdbool.h>
#include <string.h>

#include "mem/layout.h"

#define REGISTER_BYTES 4u
#define RESET_WAIT_MS  100u

/* The registers of a window while the device is the other's. */
static uint32_t read_placeholder(uint64_t offset)
{
	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return VIRTIO_REGISTERS_MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VIRTIO_REGISTERS_VERSION;
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

/* A reset by a driver that had begun. One begins with a reset, too, but after its look at DeviceID. */
static bool gives_back(const struct virtio_transport *transport, const struct bus_access *access)
{
	return access->is_write && access->offset == VIRTIO_MMIO_STATUS &&
	       (uint32_t)bus_access_value(access) == 0 && transport->registers.device->status != 0;
}

/* Configuration space takes any width; what lies behind its end reads as 0. It is read-only. */
static void access_config(const struct virtio_transport *transport, enum virtio_window window,
			  const struct bus_access *access)
{
	struct virtio_device *device = transport->registers.device;
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

/* With the lock. Whether the driver has got to DRIVER_OK by it. */
static bool access_register(struct virtio_transport *transport, enum virtio_window window,
			    const struct bus_access *access)
{
	if (is_others(transport, window)) {
		if (!access->is_write)
			bus_access_reply(access, read_placeholder(access->offset));
		return false;
	}
	if (claims(access))
		transport->claimed_by = window;
	else if (gives_back(transport, access))
		transport->claimed_by = VIRTIO_WINDOW_NONE;
	if (access->is_write)
		return virtio_registers_write(&transport->registers, access->offset,
					      (uint32_t)bus_access_value(access));
	bus_access_reply(access, virtio_registers_read(&transport->registers, access->offset));
	return false;
}

/* Once, by the first driver that is ready there. Until then, and where the host refuses, kicks come as exits. */
static void open_acpi_doorbells(struct virtio_transport *transport)
{
	for (unsigned i = 0; i < transport->registers.device->type->n_queues; i++)
		doorbell_add_address(&transport->doorbells[i],
				     transport->registers.device->irq.vm_fd,
				     transport->acpi_gpa + VIRTIO_MMIO_QUEUE_NOTIFY);
}

static void access_window(struct virtio_transport *transport, enum virtio_window window,
			  const struct bus_access *access)
{
	struct virtio_device *device = transport->registers.device;
	bool opens_doorbells = false;

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
	bool activated = access_register(transport, window, access);
	if (activated && window == VIRTIO_WINDOW_ACPI && !transport->has_acpi_doorbells)
		opens_doorbells = transport->has_acpi_doorbells = true;
	virtio_device_unlock(device);
	if (opens_doorbells)
		open_acpi_doorbells(transport);
	if (activated && device->type->activated != NULL)
		device->type->activated(device);
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
	*transport = (struct virtio_transport){ .registers.device = device };
}

void virtio_transport_attach(struct virtio_transport *transport, int vm_fd, struct bus *mmio,
			     struct ring *ring, uint64_t gpa, uint32_t gsi)
{
	struct virtio_device *device = transport->registers.device;

	bus_add(mmio, gpa, LAYOUT_VIRTIO_BYTES, virtio_transport_access, transport);
	device->irq = (struct irq_line){ vm_fd, gsi };
	device->reset_wait_ms = RESET_WAIT_MS;
	for (unsigned i = 0; i < device->type->n_queues; i++) {
		doorbell_open(&transport->doorbells[i], vm_fd, ring, gpa + VIRTIO_MMIO_QUEUE_NOTIFY,
			      i, kicked, device);
		device->kick_fds[i] = transport->doorbells[i].event.fd;
	}
}

void virtio_transport_attach_acpi(struct virtio_transport *transport, struct bus *mmio,
				  uint64_t acpi_gpa)
{
	transport->acpi_gpa = acpi_gpa;
	bus_add(mmio, acpi_gpa, LAYOUT_VIRTIO_BYTES, virtio_transport_access_acpi, transport);
}

void virtio_transport_start(struct virtio_transport *transport)
{
	for (unsigned i = 0; i < transport->registers.device->type->n_queues; i++)
		doorbell_start(&transport->doorbells[i]);
}

void virtio_transport_detach(struct virtio_transport *transport)
{
	for (unsigned i = 0; i < transport->registers.device->type->n_queues; i++)
		doorbell_close(&transport->doorbells[i]);
}
