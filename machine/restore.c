/* SPDX-License-Identifier: MIT */
#include "machine/restore.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "config/start_order.h"
#include "cpu/vcpu_state.h"
#include "host/fail.h"
#include "host/lifeline.h"
#include "host/signals.h"
#include "irq/irqchip_state.h"
#include "machine/rest.h"
#include "machine/snapshot_devices.h"
#include "machine/snapshot_plan.h"
#include "snapshot/touched.h"
#include "snapshot/working_set.h"
#include "virtio-mmio/vsock/vsock_state.h"

/* Of the guest's pages, while a monitor waits: with what it has besides 250 KiB. */
#define MAX_WAITING_COPIES 28u

static _Noreturn void fail_restore(const struct machine *m, struct error_text *error)
{
	fail_option(error, "--restore %s", m->config.restore.text);
}

void machine_open_snapshot(struct machine *m)
{
	const struct file_name *name = &m->config.restore;
	struct error_text error;

	if (name->text == NULL)
		return;
	if (!snapshot_file_open(&m->snapshot.file, name->text, name->fd, &error))
		fail_restore(m, &error);
	machine_adopt_plan(m);
}

void machine_load_snapshot(struct machine *m)
{
	struct error_text error;

	if (!snapshot_file_map_sections(&m->snapshot.file, &error))
		fail_restore(m, &error);
	boot_timer_mark(&m->timer, BOOT_KERNEL_LOADED);
}

/* The registers stand in the file as KVM takes them. */
static const struct vcpu_msrs *take_msrs(struct snapshot_file *file, unsigned i,
					 struct error_text *error)
{
	const struct vcpu_msrs *msrs;
	size_t bytes;

	msrs = snapshot_file_take(file, SNAPSHOT_CPU_MSRS, i, vcpu_msrs_bytes(0),
				  vcpu_msrs_bytes(MSR_LIST_MAX), &bytes, error);
	if (msrs == NULL ||
	    (msrs->head.nmsrs <= MSR_LIST_MAX && bytes == vcpu_msrs_bytes(msrs->head.nmsrs)))
		return msrs;
	error_set(error, "the snapshot is damaged: it has another number of registers");
	return NULL;
}

struct saved_cpu {
	const struct vcpu_state *state;
	const void *xsave;
	const struct vcpu_msrs *msrs;
};

/* The next one's sections; the XSAVE area of so many bytes, 0: of any number. */
static bool take_cpu(struct snapshot_file *file, unsigned i, size_t xsave_bytes,
		     struct saved_cpu *cpu, struct error_text *error)
{
	size_t bytes;

	cpu->state = snapshot_file_take_exactly(file, SNAPSHOT_CPU, i, sizeof(*cpu->state), error);
	if (cpu->state == NULL)
		return false;
	cpu->xsave = snapshot_file_take(file, SNAPSHOT_CPU_XSAVE, i, xsave_bytes,
					xsave_bytes == 0 ? SIZE_MAX : xsave_bytes, &bytes, error);
	cpu->msrs = cpu->xsave == NULL ? NULL : take_msrs(file, i, error);
	return cpu->msrs != NULL;
}

static const struct irqchip_state *take_irqchip(struct snapshot_file *file,
						struct error_text *error)
{
	return snapshot_file_take_exactly(file, SNAPSHOT_IRQCHIP, 0, sizeof(struct irqchip_state),
					  error);
}

void machine_warm_clone(const struct machine *m, const atomic_bool *stop)
{
	/* The main thread may be on its own way through the sections. */
	struct snapshot_file file = {
		.header = m->snapshot.file.header,
		.sections = m->snapshot.file.sections,
		.touched = m->snapshot.file.touched,
	};
	struct saved_cpu cpu;
	struct error_text error;

	if (atomic_load(stop))
		return;
	unsigned max_copies = m->config.start_fd >= 0 ? MAX_WAITING_COPIES : UINT_MAX;
	if (touched_pages_populate(file.touched, &m->memory, max_copies, stop) ||
	    take_irqchip(&file, &error) == NULL)
		return;
	for (unsigned i = 0; i < m->config.n_cpus && !atomic_load(stop); i++) {
		if (!take_cpu(&file, i, 0, &cpu, &error))
			return;
		working_set_populate(&m->memory, cpu.state, cpu.msrs);
	}
}

void machine_map_touched(const struct machine *m)
{
	const struct touched_pages *touched = m->snapshot.file.touched;
	unsigned n = touched_pages_count(touched), i = 0;

	while (i < n && vcpu_map_memory(&m->vcpus[0], touched_page_gpa(touched->pages[i]),
					touched_page_bytes(touched->pages[i])))
		i++;
}

bool machine_find_clocks(struct machine *m, struct error_text *error)
{
	struct saved_cpu cpu;

	m->snapshot.irqchip = take_irqchip(&m->snapshot.file, error);
	bool found = m->snapshot.irqchip != NULL;
	for (unsigned i = 0; found && i < m->config.n_cpus; i++) {
		found = take_cpu(&m->snapshot.file, i, m->snapshot.xsave_bytes, &cpu, error);
		m->snapshot.cpus[i] = cpu.state;
	}
	return found;
}

static void restore_cpu(struct machine *m, unsigned i)
{
	struct saved_cpu cpu;
	struct error_text error;

	if (!take_cpu(&m->snapshot.file, i, m->snapshot.xsave_bytes, &cpu, &error) ||
	    !vcpu_state_restore(m->vcpus[i].fd, &m->snapshot.msrs, cpu.state, cpu.xsave, cpu.msrs,
				&error))
		fail_restore(m, &error);
	m->snapshot.cpus[i] = cpu.state;
}

void machine_restore(struct machine *m)
{
	struct snapshot_file *file = &m->snapshot.file;
	const struct irqchip_state *irqchip;
	const struct identity_state *identity;
	struct error_text error;

	machine_check_host(m);
	irqchip = take_irqchip(file, &error);
	if (irqchip == NULL || !irqchip_restore(m->vm_fd, irqchip, &error))
		fail_restore(m, &error);
	m->snapshot.irqchip = irqchip;
	for (unsigned i = 0; i < m->config.n_cpus; i++)
		restore_cpu(m, i);
	identity =
		snapshot_file_take_exactly(file, SNAPSHOT_IDENTITY, 0, sizeof(*identity), &error);
	if (identity == NULL || !machine_change_identity(m, identity, &error))
		fail_restore(m, &error);
}

void machine_restore_devices(struct machine *m)
{
	struct snapshot_file *file = &m->snapshot.file;
	struct error_text error;

	if (!machine_load_devices(m, file, &error) || !snapshot_file_ends(file, &error))
		fail_restore(m, &error);
}

/* By a call that the thread has anyway. */
static void take_signal(int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	int number = (int)info.ssi_signo;
	if (number != SIGCONT && !signals_are_ignored(number))
		signals_act(number);
}

static void wait_for_line(const struct machine *m)
{
	struct pollfd waits[] = {
		{ .fd = m->config.start_fd, .events = POLLIN },
		{ .fd = m->signals.fd, .events = POLLIN },
		{ .fd = lifeline_fd(), .events = LIFELINE_EVENTS },
	};

	do {
		syscall(SYS_ppoll, waits, 3L, NULL, NULL, 0L);
		if (waits[1].revents != 0)
			take_signal(m->signals.fd);
		if (waits[2].revents != 0)
			fail_by_signal(SIGTERM);
	} while (waits[0].revents == 0);
}

static _Noreturn void refuse_order(const struct machine *m, struct error_text *error)
{
	fail_option(error, "--start-fd %d", m->config.start_fd);
}

static void obey(struct machine *m, char *line)
{
	struct start_order order;
	struct error_text error;

	if (!start_order_parse(&order, line, &error))
		refuse_order(m, &error);
	if (order.guest_cid != 0) {
		if (m->config.vsock.guest_cid == 0) {
			error_set(&error, "cid=%u: this VM has no vsock", order.guest_cid);
			refuse_order(m, &error);
		}
		vsock_change_cid(&m->vsock.vsock, order.guest_cid);
	}
	memcpy(m->timer.identity.text, order.text, strlen(order.text));
}

void machine_await_order(struct machine *m)
{
	char line[START_ORDER_BYTES];
	size_t length = 0;
	ssize_t n;

	do {
		wait_for_line(m);
		n = read(m->config.start_fd, line + length, sizeof(line) - 1 - length);
		if (n == 0)
			fail_quietly(EXIT_GUEST_ENDED);
		length += n > 0 ? (size_t)n : 0;
	} while (memchr(line, '\n', length) == NULL && length < sizeof(line) - 1);
	line[length] = '\0';
	obey(m, line);
}

/* All vCPUs' TSCs are as far ahead of the host's as they were, less what is the same for all: the first goes on where it stood. */
bool machine_set_clocks(const struct machine *m, struct error_text *error)
{
	const struct vcpu_state *const *cpus = m->snapshot.cpus;
	uint64_t tsc, offset;

	if (!vcpu_state_read_tsc(m->vcpus[0].fd, &tsc, &offset))
		return error_set_errno(error, "KVM_VCPU_TSC_OFFSET: %s", strerror(errno));
	uint64_t shift = cpus[0]->tsc_offset - (cpus[0]->tsc - (tsc - offset));
	/* At once: what passes in between is how far TSC and clock come apart. */
	bool done = irqchip_start_clock(m->vm_fd, m->snapshot.irqchip, error);
	for (unsigned i = 0; done && i < m->config.n_cpus; i++)
		done = vcpu_state_start_clock(m->vcpus[i].fd, cpus[i], shift, error);
	return done;
}

void machine_start_clocks(const struct machine *m)
{
	struct error_text error;

	if (m->config.restore.text != NULL && !machine_set_clocks(m, &error))
		fail_restore(m, &error);
}
