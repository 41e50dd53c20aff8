/* SPDX-License-Identifier: MIT */
/* The guest's CPUID. */
#ifndef CPU_CPUID_H
#define CPU_CPUID_H

#include <stdint.h>

#include <linux/kvm.h>

#define CPUID_MAX_ENTRIES 256

struct cpuid_table {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[CPUID_MAX_ENTRIES];
};

/* Fills *table with what the host's KVM supports, for a guest of n_cpus: hypervisor bit, TSC
 * deadline timer where KVM has it, one package of n_cpus cores; no PMU, nothing nested. Needs only /dev/kvm. Does not return
 * on failure (exit 122). */
void cpuid_prepare(struct cpuid_table *table, int kvm_fd, unsigned n_cpus);

/* AMD's first four counters are there whatever CPUID says, unless KVM has none (Linux 5.18 and later). Before the vCPUs. */
void cpuid_disable_pmu(struct cpuid_table *table, int vm_fd);

/* The twelve letters of the CPU's maker with a zero behind them, and its family, model and stepping. */
void cpuid_describe(struct cpuid_table *table, char vendor[16], uint32_t *signature);

/* The XCR0 that the table lets the guest enable: 0 without XSAVE. */
uint64_t cpuid_xcr0(struct cpuid_table *table);

/* Sets the APIC id in every leaf that carries one, for the vCPU `index`. */
void cpuid_set_apic_id(struct cpuid_table *table, unsigned index);

#endif
