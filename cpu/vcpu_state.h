/* SPDX-License-Identifier: MIT */
/*
 * A stopped vCPU as data, and back. It stands between two instructions: its last exit is complete.
 *
 * What a state from a file can do is no more than a guest could have done, as far as KVM checks it: here it is checked for what
 * only a monitor may set.
 */
#ifndef CPU_VCPU_STATE_H
#define CPU_VCPU_STATE_H

#include <assert.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/msr_list.h"
#include "host/error.h"

struct vcpu_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_debugregs debugregs;
	struct kvm_xcrs xcrs;
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	uint64_t tsc, tsc_offset; /* the second from the host's, scaled to the guest's frequency */
	uint64_t tsc_deadline;    /* 0: none */
	struct kvm_mp_state mp;
	uint32_t zero;
};
static_assert(sizeof(struct vcpu_state) == 2096, "part of the snapshot's file");

/* The bytes of KVM_GET_XSAVE2 depend on the CPU and on what the process has asked for. */
#define VCPU_XSAVE_MAX 16384u

struct vcpu_xsave {
	size_t bytes;
	_Alignas(8) uint8_t area[VCPU_XSAVE_MAX];
};

/* But the TSC, and its deadline. */
struct vcpu_msrs {
	struct kvm_msrs head;
	struct kvm_msr_entry entries[MSR_LIST_MAX];
};
static_assert(offsetof(struct vcpu_msrs, entries) == sizeof(struct kvm_msrs), "as KVM reads them");

/* The bytes of so many of them. */
static inline size_t vcpu_msrs_bytes(uint32_t n)
{
	return sizeof(struct kvm_msrs) + n * sizeof(struct kvm_msr_entry);
}

/* How many bytes an XSAVE area has. */
size_t vcpu_xsave_bytes(int vm_fd);

/* Whether KVM lets the clock of a vCPU be set as a number that stays. */
bool vcpu_state_has_tsc_offset(int vcpu_fd);

/* False with errno; *failed names what KVM refused. xsave->bytes is set. */
bool vcpu_state_save(int vcpu_fd, const struct msr_list *list, struct vcpu_state *state,
		     struct vcpu_xsave *xsave, struct vcpu_msrs *msrs, const char **failed);

/* Into a vCPU that has never run, but for what belongs to time. False: *error says why. */
bool vcpu_state_restore(int vcpu_fd, const struct msr_list *list, const struct vcpu_state *state,
			const void *xsave, const struct vcpu_msrs *msrs, struct error_text *error);

/* The rest, when its guest is about to run: the TSC, which is by `tsc_shift` less ahead of the host's than it was, and the timers
 * of the local APIC. */
bool vcpu_state_start_clock(int vcpu_fd, const struct vcpu_state *state, uint64_t tsc_shift,
			    struct error_text *error);

/* The guest's TSC now. False with errno. */
bool vcpu_state_read_tsc(int vcpu_fd, uint64_t *tsc, uint64_t *offset);

#endif
