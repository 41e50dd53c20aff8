/* SPDX-License-Identifier: MIT */
#include "snapshot/working_set.h"

#include "mem/page.h"

#define CR0_PG   (1ull << 31)
#define CR4_LA57 (1ull << 12)
#define EFER_LMA (1ull << 10)

/* Of a page table's entry. */
#define PRESENT    1ull
#define IS_PAGE    (1ull << 7)
#define ENTRY_MASK 0x000ffffffffff000ull

#define MSR_LSTAR          0xc0000082u
#define MSR_KERNEL_GS_BASE 0xc0000102u
/* Where KVM tells the guest of clock, page faults, stolen time and interrupts that need no end: it writes there. */
#define MSR_KVM_FIRST 0x4b564d01u
#define MSR_KVM_LAST  0x4b564d04u

#define TSS_RSP0 4u

/* Guest-physical; false: there is none, or the guest is in a mode that lasts for moments. The tables are
 * written to, as by the CPU, which marks what it has used: a page that was only read before would cost the guest two faults. */
static bool translate(const struct guest_memory *memory, const struct kvm_sregs *sregs,
		      uint64_t linear, uint64_t *gpa)
{
	uint64_t table = sregs->cr3 & ENTRY_MASK, entry = 0;
	unsigned shift = sregs->cr4 & CR4_LA57 ? 48 : 39;

	*gpa = linear;
	if (!(sregs->cr0 & CR0_PG))
		return true;
	if (!(sregs->efer & EFER_LMA))
		return false;
	for (;; shift -= 9) {
		guest_memory_populate(memory, table);
		if (!guest_memory_read(memory, table + (linear >> shift & 511) * sizeof(entry),
				       &entry, sizeof(entry)) ||
		    !(entry & PRESENT))
			return false;
		table = entry & ENTRY_MASK;
		if (shift == 12 || (entry & IS_PAGE && shift <= 30))
			break;
	}
	uint64_t offset_mask = (1ull << shift) - 1;
	*gpa = (table & ~offset_mask) | (linear & offset_mask);
	return true;
}

static void touch(const struct guest_memory *memory, const struct kvm_sregs *sregs, uint64_t linear,
		  bool is_written)
{
	uint64_t gpa;
	uint8_t byte;

	if (!translate(memory, sregs, linear, &gpa))
		return;
	if (is_written)
		guest_memory_populate(memory, gpa);
	else
		guest_memory_read(memory, gpa, &byte, sizeof(byte));
}

void working_set_populate(const struct guest_memory *memory, const struct vcpu_state *state,
			  const struct vcpu_msrs *msrs)
{
	const struct kvm_sregs *sregs = &state->sregs;
	uint64_t gpa, stack;

	touch(memory, sregs, state->regs.rip, false);
	touch(memory, sregs, state->regs.rsp - 1, true);
	touch(memory, sregs, sregs->gs.base, true);
	touch(memory, sregs, sregs->idt.base, false);
	touch(memory, sregs, sregs->gdt.base, false);
	/* What its interrupts push to, from user space. */
	if (translate(memory, sregs, sregs->tr.base + TSS_RSP0, &gpa) &&
	    guest_memory_read(memory, gpa, &stack, sizeof(stack)))
		touch(memory, sregs, stack - 1, true);
	for (uint32_t i = 0; i < msrs->head.nmsrs; i++) {
		const struct kvm_msr_entry *msr = &msrs->entries[i];
		if (msr->index == MSR_LSTAR || msr->index == MSR_KERNEL_GS_BASE)
			touch(memory, sregs, msr->data, msr->index == MSR_KERNEL_GS_BASE);
		else if (msr->index >= MSR_KVM_FIRST && msr->index <= MSR_KVM_LAST)
			guest_memory_populate(memory, msr->data);
	}
}
