/* SPDX-License-Identifier: MIT */
#include "cpu/cpuid.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "cpu/cpuid_shown.h"
#include "host/fail.h"
#include "host/ioctl.h"
#include "host/kvm.h"

#define LEAF_VENDOR          0x0u
#define LEAF_FEATURES        0x1u
#define LEAF_CACHES          0x4u
#define LEAF_AMD_FEATURES    0x80000001u
#define LEAF_XSAVE           0xdu
#define LEAF_TOPOLOGY        0xbu
#define LEAF_TOPOLOGY_V2     0x1fu
#define LEAF_AMD_SIZES       0x80000008u
#define LEAF_AMD_CACHES      0x8000001du
#define LEAF_AMD_TOPOLOGY    0x8000001eu
#define TOPOLOGY_LEVELS      3u
#define FEATURE_TSC_DEADLINE (1u << 24) /* leaf 1 ECX */
#define FEATURE_X2APIC       (1u << 21) /* leaf 1 ECX */
#define FEATURE_HYPERVISOR   (1u << 31) /* leaf 1 ECX */
#define FEATURE_HTT          (1u << 28) /* leaf 1 EDX */
#define FEATURE_CMP_LEGACY   (1u << 1)  /* 0x80000001 ECX: no SMT, if HTT is set */
#define TOPOLOGY_TYPE_SMT    1u
#define TOPOLOGY_TYPE_CORE   2u

static_assert(offsetof(struct cpuid_table, entries) == sizeof(struct kvm_cpuid2),
	      "the entries follow the head, as KVM reads them");

/* The number of APIC id bits that n_cpus take. */
static uint32_t apic_id_bits(unsigned n_cpus)
{
	uint32_t bits = 0;

	while ((1u << bits) < n_cpus)
		bits++;
	return bits;
}

static struct kvm_cpuid_entry2 *find_leaf(struct cpuid_table *table, uint32_t function)
{
	for (uint32_t i = 0; i < table->head.nent; i++)
		if (table->entries[i].function == function)
			return &table->entries[i];
	return NULL;
}

static bool is_amd(struct cpuid_table *table)
{
	const struct kvm_cpuid_entry2 *leaf = find_leaf(table, LEAF_VENDOR);

	/* "AuthenticAMD" or "HygonGenuine": EBX has the first four letters. */
	return leaf != NULL && (leaf->ebx == 0x68747541 || leaf->ebx == 0x6f677948);
}

/* Leaf 0xb and 0x1f, Intel SDM Vol. 2A, CPUID: level 0 one thread a core, level 1 the cores. */
static void set_topology_level(struct kvm_cpuid_entry2 *entry, unsigned n_cpus)
{
	if (entry->index == 0) {
		entry->eax = 0;
		entry->ebx = 1;
		entry->ecx = TOPOLOGY_TYPE_SMT << 8;
	} else if (entry->index == 1) {
		entry->eax = apic_id_bits(n_cpus);
		entry->ebx = n_cpus;
		entry->ecx = TOPOLOGY_TYPE_CORE << 8 | 1;
	} else {
		entry->eax = 0;
		entry->ebx = 0;
		entry->ecx = entry->index;
	}
}

/* KVM gives the host's topology, and of late only level 0 of it. Sub-leaf 1 must exist for the guest to
 * find its cores, and sub-leaf 2 ends the list. */
static void replace_topology(struct cpuid_table *table, uint32_t function, unsigned n_cpus)
{
	uint32_t kept = 0, nent = table->head.nent;

	for (uint32_t i = 0; i < nent; i++)
		if (table->entries[i].function != function)
			table->entries[kept++] = table->entries[i];
	if (kept == nent || kept + TOPOLOGY_LEVELS > CPUID_MAX_ENTRIES)
		return; /* this CPU has no such leaf */
	for (uint32_t level = 0; level < TOPOLOGY_LEVELS; level++) {
		table->entries[kept] = (struct kvm_cpuid_entry2){
			.function = function,
			.index = level,
			.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		};
		set_topology_level(&table->entries[kept++], n_cpus);
	}
	table->head.nent = kept;
}

/* Leaf 4, and AMD's 0x8000001d: which APIC ids share a cache. The last level is the package's, the
 * others a core's. Intel's also has the number of cores. */
static void set_cache_sharing(struct kvm_cpuid_entry2 *entry, unsigned n_cpus)
{
	uint32_t level = (entry->eax >> 5) & 7;
	uint32_t ids = 1u << apic_id_bits(n_cpus);

	if ((entry->eax & 0x1f) == 0)
		return; /* the terminating entry */
	entry->eax &= entry->function == LEAF_CACHES ? 0x3fffu : 0xfc003fffu;
	entry->eax |= (level >= 3 ? ids - 1 : 0) << 14;
	if (entry->function == LEAF_CACHES)
		entry->eax |= ((ids < 64 ? ids : 64) - 1) << 26;
}

/* Leaf 1: without the hypervisor bit Linux does not look for kvm-clock; without the deadline timer it
 * calibrates the LAPIC timer against the PIT for 100 ms. */
static void set_features(struct kvm_cpuid_entry2 *entry, int kvm_fd, unsigned n_cpus, bool amd)
{
	/* AMD counts the CPUs, Intel the ids that are set aside for them. */
	uint32_t ids = amd ? n_cpus : 1u << apic_id_bits(n_cpus);

	entry->ecx |= FEATURE_HYPERVISOR;
	if (kvm_capability(kvm_fd, KVM_CAP_TSC_DEADLINE_TIMER))
		entry->ecx |= FEATURE_TSC_DEADLINE;
	entry->ebx &= 0x0000ffffu;
	entry->edx &= ~FEATURE_HTT;
	if (n_cpus == 1) {
		/* It makes messages to other processors cheap. To switch to it Linux saves, masks and restores each pin of
		 * the IOAPIC. */
		entry->ecx &= ~FEATURE_X2APIC;
	} else {
		entry->ebx |= (ids < 255 ? ids : 255) << 16;
		entry->edx |= FEATURE_HTT;
	}
}

static void adapt_entry(struct kvm_cpuid_entry2 *entry, int kvm_fd, unsigned n_cpus, bool amd)
{
	cpuid_hide(entry);
	switch (entry->function) {
	case LEAF_FEATURES:
		set_features(entry, kvm_fd, n_cpus, amd);
		break;
	case LEAF_AMD_FEATURES:
		if (amd)
			entry->ecx |= FEATURE_CMP_LEGACY;
		break;
	case LEAF_CACHES:
	case LEAF_AMD_CACHES:
		set_cache_sharing(entry, n_cpus);
		break;
	case LEAF_AMD_SIZES:
		/* ECX: bits of the APIC id that number the core, and the cores less one. */
		if (amd)
			entry->ecx = (entry->ecx & 0xffff0000u) | apic_id_bits(n_cpus) << 12 |
				     (n_cpus - 1);
		break;
	case LEAF_AMD_TOPOLOGY:
		entry->ebx &= 0xffff0000u; /* core id; one thread a core */
		entry->ecx = 0;            /* one node */
		break;
	default:
		break;
	}
}

void cpuid_prepare(struct cpuid_table *table, int kvm_fd, unsigned n_cpus)
{
	table->head = (struct kvm_cpuid2){ .nent = CPUID_MAX_ENTRIES };
	if (host_ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, table) < 0)
		fail_errno(EXIT_HOST_REFUSED, "KVM_GET_SUPPORTED_CPUID");
	for (uint32_t i = 0; i < table->head.nent; i++)
		adapt_entry(&table->entries[i], kvm_fd, n_cpus, is_amd(table));
	replace_topology(table, LEAF_TOPOLOGY, n_cpus);
	replace_topology(table, LEAF_TOPOLOGY_V2, n_cpus);
}

void cpuid_disable_pmu(struct cpuid_table *table, int vm_fd)
{
	struct kvm_enable_cap disable = {
		.cap = KVM_CAP_PMU_CAPABILITY,
		.args = { KVM_PMU_CAP_DISABLE },
	};

	if (is_amd(table))
		host_ioctl(vm_fd, KVM_ENABLE_CAP, &disable);
}

void cpuid_describe(struct cpuid_table *table, char vendor[16], uint32_t *signature)
{
	const struct kvm_cpuid_entry2 *leaf = find_leaf(table, LEAF_VENDOR);
	const struct kvm_cpuid_entry2 *features = find_leaf(table, LEAF_FEATURES);

	memset(vendor, 0, 16);
	if (leaf != NULL) {
		memcpy(vendor, &leaf->ebx, 4);
		memcpy(vendor + 4, &leaf->edx, 4);
		memcpy(vendor + 8, &leaf->ecx, 4);
	}
	*signature = features != NULL ? features->eax : 0;
}

uint64_t cpuid_xcr0(struct cpuid_table *table)
{
	const struct kvm_cpuid_entry2 *leaf = find_leaf(table, LEAF_XSAVE); /* sub-leaf 0 first */

	return leaf != NULL ? (uint64_t)leaf->edx << 32 | leaf->eax : 0;
}

void cpuid_set_apic_id(struct cpuid_table *table, unsigned index)
{
	for (uint32_t i = 0; i < table->head.nent; i++) {
		struct kvm_cpuid_entry2 *entry = &table->entries[i];
		if (entry->function == LEAF_FEATURES)
			entry->ebx = (entry->ebx & 0x00ffffffu) | index << 24;
		else if (entry->function == LEAF_TOPOLOGY || entry->function == LEAF_TOPOLOGY_V2)
			entry->edx = index;
		else if (entry->function == LEAF_AMD_TOPOLOGY) {
			entry->eax = index;
			entry->ebx = (entry->ebx & 0xffffff00u) | index;
		}
	}
}
