/* SPDX-License-Identifier: MIT */
/* CPUID as the guest gets it from a host that has everything: topology as Linux reads it, and what is hidden. */
#include "cpu/cpuid.h"

#include <stdarg.h>
#include <sys/ioctl.h>

#include "tests/unit/check.h"

#define KVM_FD (-3)
#define VM_FD  (-2)
#define INTEL  0x756e6547u /* EBX of leaf 0: "Genu" */
#define AMD    0x68747541u /* "Auth" */

#define CMP_LEGACY (1u << 1)

/* Each with all bits set, as far as no number is in it. Sub-leaves count from 0. */
static const struct {
	uint32_t function, sub_leaves;
} host_leaves[] = {
	{ 0x0, 1 },        { 0x1, 1 },        { 0x4, 4 },        { 0x6, 1 },
	{ 0x7, 4 },        { 0xa, 1 },        { 0xb, 1 },        { 0xd, 20 },
	{ 0x12, 2 },       { 0x14, 2 },       { 0x1c, 1 },       { 0x1f, 1 },
	{ 0x23, 2 },       { 0x80000001, 1 }, { 0x80000008, 1 }, { 0x8000000a, 1 },
	{ 0x8000001b, 1 }, { 0x8000001d, 4 }, { 0x8000001e, 1 }, { 0x8000001f, 1 },
	{ 0x80000022, 1 }, { 0x5, 1 },        { 0xf, 2 },        { 0x15, 1 },
	{ 0x21, 1 },       { 0x24, 1 },       { 0x40000000, 1 }, { 0x40000001, 1 },
	{ 0x80000007, 1 }, { 0x80000020, 1 }, { 0x80000021, 1 }, { 0x80000026, 1 },
	{ 0xc0000001, 1 },
};

static uint32_t host_vendor;
static unsigned pmu_disabled;
static struct cpuid_table table;

static void fill(struct cpuid_table *to)
{
	to->head.nent = 0;
	for (size_t i = 0; i < sizeof(host_leaves) / sizeof(host_leaves[0]); i++)
		for (uint32_t sub = 0; sub < host_leaves[i].sub_leaves; sub++)
			to->entries[to->head.nent++] = (struct kvm_cpuid_entry2){
				.function = host_leaves[i].function,
				.index = sub,
				.eax = UINT32_MAX,
				.ebx = host_leaves[i].function == 0 ? host_vendor : UINT32_MAX,
				.ecx = host_leaves[i].function == 0x80000001 ? ~CMP_LEGACY
									     : UINT32_MAX,
				.edx = UINT32_MAX,
			};
	for (uint32_t i = 0; i < to->head.nent;
	     i++) /* caches: level sub + 1, the last entry none */
		if (to->entries[i].function == 0x4 || to->entries[i].function == 0x8000001d)
			to->entries[i].eax =
				to->entries[i].index == 3
					? 0
					: 0xffffc000u | (to->entries[i].index + 1) << 5 | 1;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list list;

	va_start(list, request);
	void *argument = va_arg(list, void *);
	va_end(list);
	if (fd == KVM_FD && (unsigned)request == (unsigned)KVM_GET_SUPPORTED_CPUID) {
		fill(argument);
	} else if (fd == VM_FD && (unsigned)request == (unsigned)KVM_ENABLE_CAP) {
		const struct kvm_enable_cap *cap = argument;
		pmu_disabled += cap->cap == KVM_CAP_PMU_CAPABILITY && cap->args[0] == 1;
	} else {
		return fd == KVM_FD; /* any capability */
	}
	return 0;
}

static const struct kvm_cpuid_entry2 *leaf(uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < table.head.nent; i++)
		if (table.entries[i].function == function && table.entries[i].index == index)
			return &table.entries[i];
	check_failed(__FILE__, __LINE__, "the leaf is there");
}

static void prepare(uint32_t vendor, unsigned n_cpus)
{
	host_vendor = vendor;
	cpuid_prepare(&table, KVM_FD, n_cpus);
}

static unsigned power_of_two_above(unsigned n)
{
	unsigned power = 1;

	while (power < n)
		power *= 2;
	return power;
}

/* Intel SDM Vol. 3A, 10.9: the levels of leaf 0xb and 0x1f, from threads up. */
static void check_levels(uint32_t function, unsigned n_cpus, unsigned index)
{
	const struct kvm_cpuid_entry2 *threads = leaf(function, 0), *cores = leaf(function, 1),
				      *end = leaf(function, 2);

	CHECK_EQ(threads->eax, 0);
	CHECK_EQ(threads->ebx, 1);
	CHECK_EQ(threads->ecx, 1 << 8);
	CHECK_EQ(1u << cores->eax, power_of_two_above(n_cpus));
	CHECK_EQ(cores->ebx, n_cpus);
	CHECK_EQ(cores->ecx, 2 << 8 | 1);
	CHECK_EQ(end->ecx, 2);
	CHECK_EQ(threads->edx, index);
	CHECK_EQ(cores->edx, index);
	CHECK_EQ(index >> cores->eax, 0); /* one package */
}

static void check_common(unsigned n_cpus)
{
	const struct kvm_cpuid_entry2 *features = leaf(0x1, 0);
	unsigned ids = power_of_two_above(n_cpus);

	CHECK_EQ(features->edx >> 28 & 1, n_cpus > 1); /* HTT */
	CHECK_EQ(features->ecx >> 21 & 1, n_cpus > 1); /* x2APIC */
	for (uint32_t sub = 0; sub < 3; sub++) {
		/* Levels 1 and 2 are a core's, level 3 is the package's. */
		unsigned sharing = sub == 2 ? ids : 1;
		CHECK_EQ((leaf(0x4, sub)->eax >> 14 & 0xfff) + 1, sharing);
		CHECK_EQ((leaf(0x4, sub)->eax >> 26) + 1, ids < 64 ? ids : 64);
		CHECK_EQ((leaf(0x8000001d, sub)->eax >> 14 & 0xfff) + 1, sharing);
	}
	for (unsigned index = 0; index < n_cpus; index++) {
		cpuid_set_apic_id(&table, index);
		CHECK_EQ(features->ebx >> 24, index);
		check_levels(0xb, n_cpus, index);
		check_levels(0x1f, n_cpus, index);
		CHECK_EQ(leaf(0x8000001e, 0)->eax, index);
		CHECK_EQ(leaf(0x8000001e, 0)->ebx & 0xffff, index); /* the core; one thread */
		CHECK_EQ(leaf(0x8000001e, 0)->ecx, 0);
	}
}

static void test_topology(void)
{
	static const unsigned counts[] = { 1, 2, 3, 4, 16, 17, 64, 65, 128, 254 };

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		unsigned n = counts[i], ids = power_of_two_above(n);
		prepare(INTEL, n);
		check_common(n);
		CHECK_EQ(leaf(0x1, 0)->ebx >> 16 & 0xff, n == 1 ? 0 : ids < 255 ? ids : 255);
		prepare(AMD, n);
		check_common(n);
		CHECK_EQ(leaf(0x1, 0)->ebx >> 16 & 0xff, n == 1 ? 0 : n);
		CHECK_EQ((leaf(0x80000008, 0)->ecx & 0xff) + 1, n);
		CHECK_EQ(1u << (leaf(0x80000008, 0)->ecx >> 12 & 0xf), ids);
		CHECK(leaf(0x80000001, 0)->ecx & CMP_LEGACY); /* HTT does not mean SMT */
	}
}

static void check_zero(uint32_t function, uint32_t index)
{
	const struct kvm_cpuid_entry2 *entry = leaf(function, index);

	CHECK_EQ(entry->eax | entry->ebx | entry->ecx | entry->edx, 0);
}

/* What is left of a host that has every bit: by the manuals, not by the table in cpu/. */
static void check_shown(void)
{
	static const struct {
		uint32_t function, index, eax, ebx, ecx, edx;
	} shown[] = {
		{ 0x6, 0, 0x4, 0, 0, 0 },
		{ 0x7, 0, ~0u, 0xfdbf2ffb, 0x1b415f7f, 0xbfd16d1c },
		{ 0x7, 1, 0x4ac1cb7, 0, 0, 0x84530 },
		{ 0x7, 2, 0, 0, 0, 0x3f },
		{ 0xd, 0, 0x602e7, ~0u, ~0u, 0 },
		{ 0xd, 1, 0x1f, ~0u, 1u << 11, 0 },
		{ 0xd, 2, ~0u, ~0u, ~0u, ~0u },
		{ 0xd, 3, 0, 0, 0, 0 },
		{ 0xd, 8, 0, 0, 0, 0 },
		{ 0xd, 18, ~0u, ~0u, ~0u, ~0u },
		{ 0xd, 19, 0, 0, 0, 0 },
		{ 0x15, 0, ~0u, ~0u, ~0u, ~0u },
		{ 0x24, 0, 0x700ff, 0x700ff, 0, 0 },
		{ 0x40000000, 0, ~0u, ~0u, ~0u, ~0u },
		{ 0x40000001, 0, 0x1007efb, 0, 0, 1 },
		{ 0x80000007, 0, 0, 0, 0, 1u << 8 },
		{ 0x80000021, 0, 0xf8120f67, 0, 6, 0 },
	};

	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		const struct kvm_cpuid_entry2 *entry = leaf(shown[i].function, shown[i].index);
		CHECK_EQ(entry->eax, shown[i].eax);
		CHECK_EQ(entry->ebx, shown[i].ebx);
		CHECK_EQ(entry->ecx, shown[i].ecx);
		CHECK_EQ(entry->edx, shown[i].edx);
	}
	/* Beside numbers. */
	CHECK_EQ(leaf(0x1, 0)->ecx, 0xfffa3203);
	CHECK_EQ(leaf(0x1, 0)->edx, 0x1f8bebff);
	CHECK_EQ(leaf(0x80000001, 0)->ecx | CMP_LEGACY, 0x630bf3);
	CHECK_EQ(leaf(0x80000001, 0)->edx, 0xefd3ebff);
	CHECK_EQ(leaf(0x80000008, 0)->ebx, 0x770fd205);
	CHECK_EQ(leaf(0x80000008, 0)->edx, 0);
}

static void check_hidden(void)
{
	static const uint32_t gone[] = {
		0xa,        0x12, 0x14, 0x1c, 0x23,       0x8000000a, 0x8000001b, 0x8000001f,
		0x80000022, 0x5,  0xf,  0x21, 0x80000020, 0x80000026, 0xc0000001
	};
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		check_zero(gone[i], 0);
	check_zero(0x12, 1);
	check_zero(0x14, 1);
	check_zero(0x23, 1);
	check_zero(0x7, 3);
	check_shown();
}

static void test_no_pmu(void)
{
	prepare(INTEL, 2);
	check_hidden();
	cpuid_disable_pmu(&table, VM_FD);
	CHECK_EQ(pmu_disabled, 0);
	prepare(AMD, 2);
	check_hidden();
	cpuid_disable_pmu(&table, VM_FD);
	CHECK_EQ(pmu_disabled, 1);
}

int main(void)
{
	RUN(test_topology);
	RUN(test_no_pmu);
	return 0;
}
