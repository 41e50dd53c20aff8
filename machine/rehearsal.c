/* SPDX-License-Identifier: MIT */
#include "machine/rehearsal.h"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host/signals.h"
#include "machine/rest.h"
#include "machine/restore.h"
#include "mem/layout.h"
#include "snapshot/touched.h"

/* One that prints nothing by then may be idle: it hears what a clone does, that its connections are over. */
#define IDLE_NS 4000000
#define END_NS  6000000 /* after that */

static struct {
	struct bus ports, mmio;
	struct exit_request exit; /* of the rehearsal: nobody hears of it */
	sem_t has_printed;
} rehearsal;

/* Its output goes nowhere; else it is the same. */
static void access_serial(void *serial, const struct bus_access *access)
{
	if (!access->is_write || access->offset != 0)
		serial_access(serial, access);
	else if (exit_request_post(&rehearsal.exit, EXIT_GUEST_ENDED))
		sem_post(&rehearsal.has_printed);
}

/* A device is looked at, and not told anything: not that the guest is ready, nor that a queue has begun anew, which would open it. */
static void look_at(void *range, const struct bus_access *access)
{
	const struct bus_range *real = range;

	if (!access->is_write)
		real->handle(real->device, access);
}

/* The ports of reset, power-off and exit are not there. */
static void replace_buses(struct machine *m)
{
	rehearsal.mmio = m->mmio;
	for (unsigned i = 0; i < m->mmio.n_ranges; i++) {
		rehearsal.mmio.ranges[i].handle = look_at;
		rehearsal.mmio.ranges[i].device = &m->mmio.ranges[i];
	}
	if (m->config.serial != SERIAL_NONE)
		bus_add(&rehearsal.ports, LAYOUT_SERIAL_PORT, LAYOUT_SERIAL_PORTS, access_serial,
			&m->console.serial);
	rehearsal.exit.posted.fd = m->exit.posted.fd;
	atomic_init(&rehearsal.exit.status, EXIT_REQUEST_NONE);
	sem_init(&rehearsal.has_printed, 0, 0);
	m->vcpu_machine.ports = &rehearsal.ports;
	m->vcpu_machine.mmio = &rehearsal.mmio;
	m->vcpu_machine.exit = &rehearsal.exit;
	m->vcpu_machine.is_rehearsal = true;
}

/* As a clone finds it: the host's time has passed, the guest's has not. */
static bool begin_anew(struct machine *m)
{
	static const uint8_t other_id[ACPI_VMGENID_BYTES];
	static const atomic_bool never = false;
	struct snapshot_file *file = &m->snapshot.file;
	struct error_text error;

	if (!snapshot_file_map_sections(file, &error) || !machine_find_clocks(m, &error) ||
	    !guest_memory_replace(&m->memory, file->fd, file->header.memory_offset) ||
	    !machine_set_clocks(m, &error))
		return false;
	m->timer.identity.generation++;
	if (m->config.acpi)
		machine_set_generation_id(m, other_id);
	/* What any clone touches sooner or later, which an idle guest may not do now. */
	machine_warm_clone(m, &never);
	return true;
}

static void play(struct machine *m)
{
	gate_open(&m->pause.gate);
	if (signals_wait_within(&rehearsal.has_printed, IDLE_NS))
		return;
	if (m->config.vsock.guest_cid != 0)
		irq_line_raise(&m->vsock.vsock.device.irq);
	signals_wait_within(&rehearsal.has_printed, END_NS);
}

void machine_rehearse(struct machine *m, int fd, const struct snapshot_header *header)
{
	struct touched_pages touched;
	struct iovec iov = { &touched, sizeof(touched) };

	m->snapshot.file = (struct snapshot_file){ .fd = fd, .header = *header };
	replace_buses(m);
	bool begun = begin_anew(m);
	if (begun)
		play(m);
	/* In any case: the machine's own request is not what they look at any more. */
	exit_request_post(&rehearsal.exit, EXIT_GUEST_ENDED);
	if (!begun)
		return;
	/* They go no further while the list is made. */
	for (unsigned i = 0; i < m->config.n_cpus; i++)
		vcpu_interrupt(&m->vcpus[i]);
	touched_pages_collect(&touched, &m->memory, m->snapshot.pages_fd, fd,
			      header->memory_offset);
	/* Not all of it: a hint with a wrong checksum. */
	syscall(SYS_pwritev2, fd, &iov, 1L, (long)TOUCHED_FILE_OFFSET, 0L, 0L);
}
