/* SPDX-License-Identifier: MIT */
#include "cpu/boot_state.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <string.h>

#include "host/ioctl.h"
#include "mem/layout.h"
#include "mem/page.h"

#define SELECTOR_CODE 0x10 /* __BOOT_CS */
#define SELECTOR_DATA 0x18 /* __BOOT_DS */
#define SELECTOR_TSS  0x20
#define GDT_ENTRIES   6 /* null, unused, code, data, TSS (16 bytes in long mode) */

#define CR0_PE   0x1u
#define CR0_ET   0x10u
#define CR0_NE   0x20u
#define CR0_PG   0x80000000u
#define CR4_PAE  0x20u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u

#define PAGE_PRESENT  0x1u
#define PAGE_WRITABLE 0x2u
#define PAGE_HUGE     0x80u
#define TABLE_ENTRIES 512

#define MSR_IA32_MISC_ENABLE    0x1a0u
#define MISC_ENABLE_FAST_STRING 0x1u
#define LAPIC_LVT_LINT0         0x350
#define LAPIC_LVT_LINT1         0x360
#define LVT_DELIVERY_EXTINT     0x700u
#define LVT_DELIVERY_NMI        0x400u
#define RFLAGS_RESERVED         0x2u

static const struct kvm_segment boot_code = {
	.limit = 0xffffffff,
	.selector = SELECTOR_CODE,
	.type = 11, /* execute, read, accessed */
	.present = 1,
	.s = 1,
	.l = 1,
	.g = 1,
};
static const struct kvm_segment boot_data = {
	.limit = 0xffffffff,
	.selector = SELECTOR_DATA,
	.type = 3, /* read, write, accessed */
	.present = 1,
	.db = 1,
	.s = 1,
	.g = 1,
};
static const struct kvm_segment boot_tss = {
	.limit = 0x67,
	.selector = SELECTOR_TSS,
	.type = 11, /* busy 64-bit TSS */
	.present = 1,
};

/* The GDT descriptor of a segment with base 0 (Intel SDM Vol. 3A, 3.4.5). */
static uint64_t gdt_descriptor(const struct kvm_segment *segment)
{
	uint64_t limit = segment->g ? segment->limit >> 12 : segment->limit;

	return (limit & 0xffff) | (uint64_t)segment->type << 40 | (uint64_t)segment->s << 44 |
	       (uint64_t)segment->dpl << 45 | (uint64_t)segment->present << 47 |
	       (limit >> 16 & 0xf) << 48 | (uint64_t)segment->l << 53 |
	       (uint64_t)segment->db << 54 | (uint64_t)segment->g << 55;
}

bool boot_state_write_tables(const struct guest_memory *memory)
{
	const uint64_t gdt[GDT_ENTRIES] = {
		[SELECTOR_CODE / 8] = gdt_descriptor(&boot_code),
		[SELECTOR_DATA / 8] = gdt_descriptor(&boot_data),
		[SELECTOR_TSS / 8] = gdt_descriptor(&boot_tss),
	};
	const uint64_t pml4e = LAYOUT_PDPT_GPA | PAGE_PRESENT | PAGE_WRITABLE;
	const uint64_t pdpte = LAYOUT_PD_GPA | PAGE_PRESENT | PAGE_WRITABLE;
	uint64_t pd[TABLE_ENTRIES];

	_Static_assert(TABLE_ENTRIES * HUGE_PAGE_BYTES == LAYOUT_IDENTITY_MAP_BYTES,
		       "one page directory is the identity map");
	for (uint64_t i = 0; i < TABLE_ENTRIES; i++)
		pd[i] = i * HUGE_PAGE_BYTES | PAGE_PRESENT | PAGE_WRITABLE | PAGE_HUGE;
	return guest_memory_write(memory, LAYOUT_GDT_GPA, gdt, sizeof(gdt)) &&
	       guest_memory_write(memory, LAYOUT_PML4_GPA, &pml4e, sizeof(pml4e)) &&
	       guest_memory_write(memory, LAYOUT_PDPT_GPA, &pdpte, sizeof(pdpte)) &&
	       guest_memory_write(memory, LAYOUT_PD_GPA, pd, sizeof(pd));
}

/* KVM marks in MISC_ENABLE what it does not have: only a bit is added. */
static bool set_msrs(int vcpu_fd)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry misc;
	} msrs = { .head.nmsrs = 1, .misc = { .index = MSR_IA32_MISC_ENABLE } };

	host_ioctl(vcpu_fd, KVM_GET_MSRS, &msrs);
	msrs.misc.data |= MISC_ENABLE_FAST_STRING;
	/* The ioctl returns how many it has set. */
	int n = host_ioctl(vcpu_fd, KVM_SET_MSRS, &msrs);
	if (n == 0)
		errno = EINVAL;
	return n == 1;
}

static void set_lapic_register(struct kvm_lapic_state *lapic, size_t offset, uint32_t value)
{
	memcpy(&lapic->regs[offset], &value, sizeof(value));
}

void boot_state_set_xcr0(int vcpu_fd, uint64_t xcr0)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = xcr0 } } };

	if (xcr0 != 0)
		host_ioctl(vcpu_fd, KVM_SET_XCRS, &xcrs);
}

bool boot_state_set_common(int vcpu_fd, const char **failed)
{
	struct kvm_lapic_state lapic;

	*failed = "KVM_SET_MSRS";
	if (!set_msrs(vcpu_fd))
		return false;
	*failed = "KVM_GET_LAPIC";
	if (host_ioctl(vcpu_fd, KVM_GET_LAPIC, &lapic) < 0)
		return false;
	set_lapic_register(&lapic, LAPIC_LVT_LINT0, LVT_DELIVERY_EXTINT);
	set_lapic_register(&lapic, LAPIC_LVT_LINT1, LVT_DELIVERY_NMI);
	*failed = "KVM_SET_LAPIC";
	return host_ioctl(vcpu_fd, KVM_SET_LAPIC, &lapic) == 0;
}

bool boot_state_set_bsp(int vcpu_fd, uint64_t entry_gpa, const char **failed)
{
	struct kvm_regs regs = {
		.rip = entry_gpa,
		.rsi = LAYOUT_ZERO_PAGE_GPA,
		.rsp = LAYOUT_STACK_TOP_GPA,
		.rbp = LAYOUT_STACK_TOP_GPA,
		.rflags = RFLAGS_RESERVED,
	};
	struct kvm_sregs sregs;

	*failed = "KVM_GET_SREGS";
	if (host_ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		return false;
	sregs.cs = boot_code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = boot_data;
	sregs.tr = boot_tss;
	sregs.gdt.base = LAYOUT_GDT_GPA;
	sregs.gdt.limit = GDT_ENTRIES * 8 - 1;
	sregs.idt.limit = 0; /* no exception can be handled yet: one is a triple fault */
	sregs.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
	sregs.cr3 = LAYOUT_PML4_GPA;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA;
	*failed = "KVM_SET_SREGS";
	if (host_ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) < 0)
		return false;
	*failed = "KVM_SET_REGS";
	return host_ioctl(vcpu_fd, KVM_SET_REGS, &regs) == 0;
}
