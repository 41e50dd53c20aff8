/* SPDX-License-Identifier: MIT */
#include "machine/restore.h"

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
#include "snapshot/working_set.h"
#include "virtio-mmio/vsock/vsock_state.h"

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

void machine_warm_clone(const struct machine *m, const atomic_bool *stop)
{
	struct snapshot_file file = m->snapshot.file;
	const struct vcpu_state *state;
	const struct vcpu_msrs *msrs;
	struct error_text error;
	size_t bytes;

	file.at = 0;
	snapshot_file_take(&file, SNAPSHOT_IRQCHIP, 0, 0, SIZE_MAX, &bytes, &error);
	for (unsigned i = 0; i < m->config.n_cpus && !atomic_load(stop); i++) {
		state = snapshot_file_take_exactly(&file, SNAPSHOT_CPU, i, sizeof(*state), &error);
		snapshot_file_take(&file, SNAPSHOT_CPU_XSAVE, i, 0, SIZE_MAX, &bytes, &error);
		msrs = take_msrs(&file, i, &error);
		if (state == NULL || msrs == NULL)
			return;
		working_set_populate(&m->memory, state, msrs);
	}
}

static void restore_cpu(struct machine *m, unsigned i)
{
	struct snapshot_file *file = &m->snapshot.file;
	const struct vcpu_state *state;
	const struct vcpu_msrs *msrs;
	const void *xsave;
	struct error_text error;

	state = snapshot_file_take_exactly(file, SNAPSHOT_CPU, i, sizeof(*state), &error);
	xsave = state == NULL ? NULL
			      : snapshot_file_take_exactly(file, SNAPSHOT_CPU_XSAVE, i,
							   m->snapshot.xsave_bytes, &error);
	msrs = xsave == NULL ? NULL : take_msrs(file, i, &error);
	if (msrs == NULL ||
	    !vcpu_state_restore(m->vcpus[i].fd, &m->snapshot.msrs, state, xsave, msrs, &error))
		fail_restore(m, &error);
	m->snapshot.cpus[i] = state;
}

void machine_restore(struct machine *m)
{
	struct snapshot_file *file = &m->snapshot.file;
	const struct irqchip_state *irqchip;
	const struct identity_state *identity;
	struct error_text error;

	machine_check_host(m);
	irqchip = snapshot_file_take_exactly(file, SNAPSHOT_IRQCHIP, 0, sizeof(*irqchip), &error);
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
void machine_start_clocks(struct machine *m)
{
	const struct vcpu_state *const *cpus = m->snapshot.cpus;
	uint64_t tsc, offset;
	struct error_text error;

	if (m->config.restore.text == NULL)
		return;
	if (!vcpu_state_read_tsc(m->vcpus[0].fd, &tsc, &offset))
		fail_errno(EXIT_HOST_REFUSED, "KVM_VCPU_TSC_OFFSET");
	uint64_t shift = cpus[0]->tsc_offset - (cpus[0]->tsc - (tsc - offset));
	/* At once: what passes in between is how far TSC and clock come apart. */
	if (!irqchip_start_clock(m->vm_fd, m->snapshot.irqchip, &error))
		fail_restore(m, &error);
	for (unsigned i = 0; i < m->config.n_cpus; i++)
		if (!vcpu_state_start_clock(m->vcpus[i].fd, cpus[i], shift, &error))
			fail_restore(m, &error);
}
