/* SPDX-License-Identifier: MIT */
#include "machine/rest.h"

#include <sys/random.h>

#include "host/clock.h"
#include "io/console_state.h"
#include "irq/irqchip.h"
#include "mem/layout.h"
#include "virtio-mmio/block_state.h"
#include "virtio-mmio/net_state.h"

/* A disk that hangs does not hang the snapshot; and a stream's peer that takes nothing loses frames, as on a wire. */
#define REST_MS 5000
#define PEER_MS 200
#define LOOK_MS 10u

static void for_each_device(struct machine *m, void (*act)(struct virtio_device *device))
{
	for (unsigned i = 0; i < m->config.n_disks; i++)
		act(&m->disks[i].block.device);
	for (unsigned i = 0; i < m->config.n_nets; i++)
		act(&m->nics[i].net.device);
	if (m->config.vsock.guest_cid != 0)
		act(&m->vsock.vsock.device);
}

void machine_stop_queues(struct machine *m)
{
	for_each_device(m, virtio_device_stop_queues);
}

void machine_wake_devices(struct machine *m)
{
	for_each_device(m, virtio_device_go_on);
	if (m->config.serial != SERIAL_NONE)
		console_go_on(&m->console);
}

/* What is not at rest; NULL: all is. */
static const char *find_busy(struct machine *m, bool peers_count)
{
	const char *busy = NULL;

	/* Each, because each gets on by it. */
	for (unsigned i = 0; i < m->config.n_disks; i++)
		if (!block_come_to_rest(&m->disks[i].block))
			busy = m->disks[i].image.path;
	for (unsigned i = 0; i < m->config.n_nets; i++)
		if (!net_is_at_rest(&m->nics[i].net) ||
		    (peers_count && !net_has_sent(&m->nics[i].net)))
			busy = m->nics[i].name;
	if (m->config.vsock.guest_cid != 0 && m->vsock.vsock.device.in_flight > 0)
		busy = "--vsock";
	if (m->config.serial != SERIAL_NONE && !console_come_to_rest(&m->console))
		busy = "--serial";
	/* One that waited for the console has that byte's instruction to finish. */
	if (busy == NULL && !gate_holds_all(&m->pause.gate))
		busy = "a vCPU";
	return busy;
}

static bool disks_can_be_saved(const struct machine *m, struct error_text *error)
{
	for (unsigned i = 0; i < m->config.n_disks; i++)
		if (!block_can_be_saved(&m->disks[i].block, error))
			return false;
	return true;
}

bool machine_rest_devices(struct machine *m, struct error_text *error)
{
	int64_t start = clock_now_ms(), now;
	unsigned wait_ms = 0; /* the batch's tasks first */
	const char *busy;

	machine_stop_queues(m);
	do {
		int result = ring_wait_for(&m->ring, wait_ms);
		if (result < 0)
			return error_set_refused(error, "io_uring failed");
		if (exit_request_status(&m->exit) != EXIT_REQUEST_NONE)
			return error_set_refused(error, "the VM ends");
		now = clock_now_ms();
		busy = find_busy(m, now < start + PEER_MS);
		wait_ms = LOOK_MS;
	} while (busy != NULL && now < start + REST_MS);
	if (busy != NULL)
		return error_set_refused(error, "%s has not come to rest within %u s", busy,
					 REST_MS / 1000);
	return disks_can_be_saved(m, error);
}

/* boot/acpi.c: the driver hears of it by the Generic Event Device. */
void machine_set_generation_id(struct machine *m, const uint8_t id[ACPI_VMGENID_BYTES])
{
	const struct irq_line event = { &m->vm_fd, LAYOUT_VMGENID_GSI };

	guest_memory_write(&m->memory, LAYOUT_VMGENID_GPA, id, ACPI_VMGENID_BYTES);
	/* One that has not set its interrupts up has a line of the PIC there, with any vector. */
	if (!irqchip_is_masked(m->vm_fd, LAYOUT_VMGENID_GSI))
		irq_line_raise(&event);
}

static bool change_generation_id(struct machine *m, struct error_text *error)
{
	uint8_t id[ACPI_VMGENID_BYTES];

	if (getrandom(id, sizeof(id), 0) != sizeof(id))
		return error_set_errno(error, "getrandom");
	machine_set_generation_id(m, id);
	return true;
}

bool machine_change_identity(struct machine *m, const struct identity_state *saved,
			     struct error_text *error)
{
	return identity_restore(&m->timer.identity, saved, error) &&
	       (!m->config.acpi || change_generation_id(m, error));
}
