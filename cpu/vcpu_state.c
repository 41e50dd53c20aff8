/* SPDX-License-Identifier: MIT */
#include "cpu/vcpu_state.h"

#include <errno.h>
#include <string.h>

#include "host/ioctl.h"

#define MSR_TSC          0x10u
#define MSR_TSC_DEADLINE 0x6e0u
/* What KVM writes to guest memory when it is set, and the guest has had for good. */
#define MSR_WALL_CLOCK     0x11u
#define MSR_KVM_WALL_CLOCK 0x4b564d00u
/* Of the local APIC's timer: what it counts from, and where it is. */
#define LAPIC_INITIAL_COUNT 0x380
#define LAPIC_CURRENT_COUNT 0x390

size_t vcpu_xsave_bytes(int vm_fd)
{
	int bytes = host_ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);

	return bytes < (int)sizeof(struct kvm_xsave) ? sizeof(struct kvm_xsave) : (size_t)bytes;
}

static struct kvm_device_attr tsc_offset_attribute(uint64_t *offset)
{
	return (struct kvm_device_attr){
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)offset,
	};
}

bool vcpu_state_has_tsc_offset(int vcpu_fd)
{
	struct kvm_device_attr attribute = tsc_offset_attribute(NULL);

	return host_ioctl(vcpu_fd, KVM_HAS_DEVICE_ATTR, &attribute) == 0;
}

static bool get_msr(int vcpu_fd, uint32_t index, uint64_t *value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msr = { .head.nmsrs = 1, .entry.index = index };

	int n = host_ioctl(vcpu_fd, KVM_GET_MSRS, &msr);
	*value = msr.entry.data;
	return n == 1;
}

bool vcpu_state_read_tsc(int vcpu_fd, uint64_t *tsc, uint64_t *offset)
{
	struct kvm_device_attr attribute = tsc_offset_attribute(offset);

	/* The TSC at last: it goes on. */
	return host_ioctl(vcpu_fd, KVM_GET_DEVICE_ATTR, &attribute) == 0 &&
	       get_msr(vcpu_fd, MSR_TSC, tsc);
}

/* Runs the ioctl on the entries one after another as far as it takes them, and drops the others. */
static bool keep_accepted(int vcpu_fd, bool set, struct vcpu_msrs *msrs)
{
	/* A copy of the head goes right before the entries that are left. */
	struct kvm_msr_entry *all = msrs->entries;
	uint32_t n = msrs->head.nmsrs, kept = 0, at = 0;
	static struct vcpu_msrs piece;

	while (at < n) {
		piece.head.nmsrs = n - at;
		memcpy(piece.entries, &all[at], (n - at) * sizeof(all[0]));
		int done = set ? host_ioctl(vcpu_fd, KVM_SET_MSRS, &piece)
			       : host_ioctl(vcpu_fd, KVM_GET_MSRS, &piece);
		if (done < 0)
			return false;
		memcpy(&all[kept], piece.entries, (unsigned)done * sizeof(all[0]));
		kept += (unsigned)done;
		at += (unsigned)done + 1;
	}
	msrs->head.nmsrs = kept;
	return true;
}

/* Those that can be read, and then take what was read. */
static bool save_msrs(int vcpu_fd, const struct msr_list *list, struct vcpu_msrs *msrs)
{
	msrs->head = (struct kvm_msrs){ 0 };
	for (uint32_t i = 0; i < list->n; i++)
		if (list->indices[i] != MSR_TSC && list->indices[i] != MSR_TSC_DEADLINE &&
		    list->indices[i] != MSR_WALL_CLOCK && list->indices[i] != MSR_KVM_WALL_CLOCK)
			msrs->entries[msrs->head.nmsrs++] =
				(struct kvm_msr_entry){ .index = list->indices[i] };
	return keep_accepted(vcpu_fd, false, msrs) && keep_accepted(vcpu_fd, true, msrs);
}

static bool get(int vcpu_fd, unsigned long request, void *data, const char *name,
		const char **failed)
{
	*failed = name;
	return host_ioctl(vcpu_fd, request, data) == 0;
}

#define GET(request, data) get(vcpu_fd, request, data, #request, failed)

static bool get_xsave(int vcpu_fd, struct vcpu_xsave *xsave, const char **failed)
{
	if (xsave->bytes > sizeof(struct kvm_xsave))
		return GET(KVM_GET_XSAVE2, xsave->area);
	return GET(KVM_GET_XSAVE, xsave->area);
}

/* The deadline before the local APIC: if the timer ends between the two the interrupt is found twice, not lost. */
bool vcpu_state_save(int vcpu_fd, const struct msr_list *list, struct vcpu_state *state,
		     struct vcpu_xsave *xsave, struct vcpu_msrs *msrs, const char **failed)
{
	memset(state, 0, sizeof(*state));
	*failed = "KVM_VCPU_TSC_OFFSET";
	if (!vcpu_state_read_tsc(vcpu_fd, &state->tsc, &state->tsc_offset))
		return false;
	/* An APIC that has taken INIT or SIPI does so here. */
	if (!GET(KVM_GET_MP_STATE, &state->mp))
		return false;
	get_msr(vcpu_fd, MSR_TSC_DEADLINE, &state->tsc_deadline);
	if (!GET(KVM_GET_LAPIC, &state->lapic) || !GET(KVM_GET_REGS, &state->regs) ||
	    !GET(KVM_GET_SREGS, &state->sregs) || !GET(KVM_GET_DEBUGREGS, &state->debugregs) ||
	    !GET(KVM_GET_VCPU_EVENTS, &state->events) || !get_xsave(vcpu_fd, xsave, failed))
		return false;
	/* Without XSAVE there are none. */
	if (host_ioctl(vcpu_fd, KVM_GET_XCRS, &state->xcrs) < 0)
		state->xcrs = (struct kvm_xcrs){ 0 };
	*failed = "KVM_GET_MSRS";
	if (!save_msrs(vcpu_fd, list, msrs))
		return false;
	errno = EBUSY;
	*failed = "system management mode";
	return !state->events.smi.smm && !state->events.smi.pending;
}

#undef GET

static bool set(int vcpu_fd, unsigned long request, const void *data, const char *name,
		struct error_text *error)
{
	return host_ioctl(vcpu_fd, request, data) == 0 ||
	       error_set_errno(error, "the snapshot's vCPU state: %s: %s", name, strerror(errno));
}

#define SET(request, data) set(vcpu_fd, request, data, #request, error)

static bool set_lapic(int vcpu_fd, const struct vcpu_state *state, struct error_text *error)
{
	struct kvm_lapic_state lapic = state->lapic;

	memset(&lapic.regs[LAPIC_INITIAL_COUNT], 0, sizeof(uint32_t));
	return SET(KVM_SET_LAPIC, &lapic);
}

/* Whatever it has got since then is kept. */
static bool start_lapic_timer(int vcpu_fd, const struct vcpu_state *state, struct error_text *error)
{
	const uint32_t zero = 0;
	struct kvm_lapic_state lapic;

	if (memcmp(&state->lapic.regs[LAPIC_INITIAL_COUNT], &zero, sizeof(zero)) == 0)
		return true;
	if (host_ioctl(vcpu_fd, KVM_GET_LAPIC, &lapic) < 0)
		return error_set_errno(error, "KVM_GET_LAPIC: %s", strerror(errno));
	memcpy(&lapic.regs[LAPIC_INITIAL_COUNT], &state->lapic.regs[LAPIC_INITIAL_COUNT],
	       LAPIC_CURRENT_COUNT + sizeof(uint32_t) - LAPIC_INITIAL_COUNT);
	return SET(KVM_SET_LAPIC, &lapic);
}

static bool restore_msrs(int vcpu_fd, const struct msr_list *list, const struct vcpu_msrs *msrs,
			 struct error_text *error)
{
	uint32_t n = msrs->head.nmsrs, at = 0;

	for (uint32_t i = 0; i < n; i++)
		if (!msr_list_has(list, msrs->entries[i].index, &at))
			return error_set(error,
					 "the snapshot's vCPU state: MSR 0x%x is none of its",
					 msrs->entries[i].index);
	int done = host_ioctl(vcpu_fd, KVM_SET_MSRS, msrs);
	if (done < 0)
		return error_set_errno(error, "the snapshot's vCPU state: KVM_SET_MSRS: %s",
				       strerror(errno));
	return (uint32_t)done == n ||
	       error_set(error, "the snapshot's vCPU state: this host's KVM refuses MSR 0x%x",
			 msrs->entries[done].index);
}

bool vcpu_state_restore(int vcpu_fd, const struct msr_list *list, const struct vcpu_state *state,
			const void *xsave, const struct vcpu_msrs *msrs, struct error_text *error)
{
	if (state->events.smi.smm || state->events.smi.pending)
		return error_set(error, "the snapshot's vCPU state: system management mode");
	return SET(KVM_SET_SREGS, &state->sregs) &&
	       (state->xcrs.nr_xcrs == 0 || SET(KVM_SET_XCRS, &state->xcrs)) &&
	       set_lapic(vcpu_fd, state, error) && SET(KVM_SET_XSAVE, xsave) &&
	       SET(KVM_SET_REGS, &state->regs) && SET(KVM_SET_DEBUGREGS, &state->debugregs) &&
	       restore_msrs(vcpu_fd, list, msrs, error) && SET(KVM_SET_MP_STATE, &state->mp) &&
	       SET(KVM_SET_VCPU_EVENTS, &state->events);
}

/* The APIC's timer mode must be known when the deadline comes. */
bool vcpu_state_start_clock(int vcpu_fd, const struct vcpu_state *state, uint64_t tsc_shift,
			    struct error_text *error)
{
	uint64_t offset = state->tsc_offset - tsc_shift;
	struct kvm_device_attr attribute = tsc_offset_attribute(&offset);
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} deadline = {
		.head.nmsrs = 1,
		.entry = { .index = MSR_TSC_DEADLINE, .data = state->tsc_deadline },
	};

	if (!SET(KVM_SET_DEVICE_ATTR, &attribute) || !start_lapic_timer(vcpu_fd, state, error))
		return false;
	return state->tsc_deadline == 0 || host_ioctl(vcpu_fd, KVM_SET_MSRS, &deadline) == 1 ||
	       error_set(error, "the snapshot's vCPU state: KVM refuses the TSC's deadline");
}
