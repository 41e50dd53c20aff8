/* SPDX-License-Identifier: MIT */
#include "machine/restore.h"

#include <stdio.h>
#include <string.h>

#include "cpu/vcpu_state.h"
#include "host/fail.h"
#include "irq/irqchip_state.h"
#include "machine/snapshot_devices.h"
#include "machine/snapshot_plan.h"

/* What the clocks need, when all else is done. */
static const struct irqchip_state *irqchip;
static const struct vcpu_state *cpus[MAX_CPUS];

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

	if (!snapshot_file_read_sections(&m->snapshot.file, &error))
		fail_restore(m, &error);
	boot_timer_mark(&m->timer, BOOT_KERNEL_LOADED);
}

static void restore_cpu(struct machine *m, unsigned i)
{
	struct snapshot_file *file = &m->snapshot.file;
	const void *xsave, *msrs;
	struct error_text error;
	size_t msr_bytes = 0;

	cpus[i] = snapshot_file_take_exactly(file, SNAPSHOT_CPU, i, sizeof(*cpus[i]), &error);
	xsave = cpus[i] == NULL ? NULL
				: snapshot_file_take_exactly(file, SNAPSHOT_CPU_XSAVE, i,
							     m->snapshot.xsave_bytes, &error);
	msrs = xsave == NULL ? NULL
			     : snapshot_file_take(file, SNAPSHOT_CPU_MSRS, i, 0,
						  MSR_LIST_MAX * sizeof(struct kvm_msr_entry),
						  &msr_bytes, &error);
	if (msrs == NULL ||
	    !vcpu_state_restore(m->vcpus[i].fd, &m->snapshot.msrs, cpus[i], xsave, msrs,
				(uint32_t)(msr_bytes / sizeof(struct kvm_msr_entry)), &error))
		fail_restore(m, &error);
}

void machine_restore(struct machine *m)
{
	struct snapshot_file *file = &m->snapshot.file;
	struct error_text error;

	machine_check_host(m);
	irqchip = snapshot_file_take_exactly(file, SNAPSHOT_IRQCHIP, 0, sizeof(*irqchip), &error);
	if (irqchip == NULL || !irqchip_restore(m->vm_fd, irqchip, &error))
		fail_restore(m, &error);
	for (unsigned i = 0; i < m->config.n_cpus; i++)
		restore_cpu(m, i);
	if (!machine_restore_devices(m, file, &error) || !snapshot_file_ends(file, &error))
		fail_restore(m, &error);
}

/* All vCPUs' TSCs are as far ahead of the host's as they were, less what is the same for all: the first goes on where it stood. */
void machine_start_clocks(struct machine *m)
{
	uint64_t tsc, offset;
	struct error_text error;

	if (m->config.restore.text == NULL)
		return;
	if (!vcpu_state_read_tsc(m->vcpus[0].fd, &tsc, &offset))
		fail_errno(EXIT_HOST_REFUSED, "KVM_VCPU_TSC_OFFSET");
	uint64_t shift = cpus[0]->tsc_offset - (cpus[0]->tsc - (tsc - offset));
	for (unsigned i = 0; i < m->config.n_cpus; i++)
		if (!vcpu_state_start_clock(m->vcpus[i].fd, cpus[i], shift, &error))
			fail_restore(m, &error);
	if (!irqchip_start_clock(m->vm_fd, irqchip, &error))
		fail_restore(m, &error);
	snapshot_file_forget(&m->snapshot.file);
}
