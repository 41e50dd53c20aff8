/* SPDX-License-Identifier: MIT */
/* The VM, its memory slots, interrupt chips and vCPUs: made by KVM. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host/fail.h"
#include "host/kvm.h"
#include "host/late_close.h"
#include "irq/irqchip.h"
#include "machine/control.h"
#include "machine/machine.h"
#include "mem/layout.h"

void machine_map_memory(struct machine *m)
{
	uint64_t bytes = m->config.mem_bytes;
	const struct snapshot_file *snapshot = &m->snapshot.file;
	struct error_text error;

	if (m->config.restore.text != NULL) {
		if (!guest_memory_map_file(&m->memory, bytes, snapshot->fd,
					   snapshot->header.memory_offset))
			fail_errno(EXIT_HOST_REFUSED, "cannot map %llu MiB of guest memory",
				   (unsigned long long)(bytes >> 20));
		return;
	}
	if (m->config.mem_pages == PAGES_HUGETLB) {
		if (guest_memory_map_hugetlb(&m->memory, bytes))
			return;
		error_set_errno(&error,
				"the host has not %llu free 2M pages in its pool "
				"(vm.nr_hugepages): %s",
				(unsigned long long)(bytes >> 21), strerror(errno));
		error.code = EXIT_HOST_REFUSED;
		fail_option(&error, "--mem %lluM,hugetlb", (unsigned long long)(bytes >> 20));
	}
	if (!guest_memory_map(&m->memory, bytes))
		fail_errno(EXIT_HOST_REFUSED, "cannot map %llu MiB of guest memory",
			   (unsigned long long)(bytes >> 20));
	if (m->config.mem_pages == PAGES_4K)
		guest_memory_avoid_huge_pages(&m->memory);
}

void machine_open_kvm(struct machine *m)
{
	m->kvm_fd = kvm_open(m->config.kvm_fd);
}

void machine_create_vm(struct machine *m)
{
	m->vm_fd = kvm_create_vm(m->kvm_fd, LAYOUT_KVM_TSS_GPA);
	boot_timer_mark(&m->timer, BOOT_VM_CREATED);
}

void machine_learn_cpuid(struct machine *m)
{
	cpuid_prepare(&m->cpuid, m->kvm_fd, m->config.n_cpus);
	cpuid_disable_pmu(&m->cpuid, m->vm_fd);
}

void machine_create_irqchip(struct machine *m)
{
	if (!guest_memory_register(&m->memory, m->vm_fd))
		fail_errno(EXIT_HOST_REFUSED, "KVM_SET_USER_MEMORY_REGION");
	irqchip_create(m->vm_fd);
	if (m->config.restore.text == NULL)
		irqchip_set_boot_state(m->vm_fd);
}

void machine_check_cpus(const struct machine *m)
{
	int limit = kvm_capability(m->kvm_fd, KVM_CAP_MAX_VCPUS);
	struct error_text error;

	if (limit > 0 && m->config.n_cpus > (unsigned)limit) {
		error_set_refused(&error, "this host's KVM allows %d", limit);
		fail_option(&error, "--cpus %u", m->config.n_cpus);
	}
}

void machine_create_vcpus(struct machine *m)
{
	machine_check_cpus(m);
	for (unsigned i = 0; i < m->config.n_cpus; i++) {
		vcpu_create(&m->vcpus[i], m->kvm_fd, m->vm_fd, i, &m->cpuid, &m->vcpu_machine);
		if (m->config.restore.text == NULL)
			vcpu_set_boot_state(&m->vcpus[i], &m->cpuid);
	}
}

void machine_close_kvm(const struct machine *m)
{
	close(m->kvm_fd);
}

void machine_close_set_up(struct machine *m)
{
	/* A snapshot of this VM looks for holes there. */
	if (m->config.restore.text != NULL && m->config.snapshot == NULL)
		close(m->snapshot.file.fd);
	if (m->config.kernel.fd > 0)
		close(m->config.kernel.fd);
	if (m->config.initrd.fd > 0)
		close(m->config.initrd.fd);
	for (unsigned i = 0; i < m->descriptors.n; i++) {
		const struct named_descriptor *named = &m->descriptors.list[i];
		/* A path may name a number twice, and then it may be one of ours by now. */
		bool again = i > 0 && m->descriptors.list[i - 1].fd == named->fd;
		if (named->path != NULL && !again && !descriptors_have(&m->descriptors, named->fd))
			close(named->fd);
	}
}

/* The guest's kicks, signals and bytes wait in their descriptors until the event loop takes them. */
void machine_start_vcpus(struct machine *m)
{
	if (m->config.restore.text == NULL)
		vcpu_set_entry(&m->vcpus[0], m->kernel.entry_gpa);
	vcpu_adopt_thread(&m->vcpus[0]);
	for (unsigned i = 1; i < m->config.n_cpus; i++)
		vcpu_start(&m->vcpus[i]);
}

void machine_stop_vcpus(struct machine *m)
{
	if (m->config.serial != SERIAL_NONE)
		serial_stop(&m->console.serial);
	machine_stop_control(m);
	for (unsigned i = 0; i < m->config.n_cpus; i++)
		vcpu_stop(&m->vcpus[i]);
}

void machine_leave_vm(struct machine *m)
{
	/* Other references to the VM go first, so that the late one is the last. */
	for (unsigned i = 0; i < m->config.n_cpus; i++)
		vcpu_close(&m->vcpus[i]);
	late_close(m->vm_fd);
}
