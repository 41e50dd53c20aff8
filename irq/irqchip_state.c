/* SPDX-License-Identifier: MIT */
#include "irq/irqchip_state.h"

#include <errno.h>
#include <string.h>

#include "host/ioctl.h"
#include "mem/layout.h"

#define PIT_MAX_COUNT 0x10000u

bool irqchip_save(int vm_fd, struct irqchip_state *state, const char **failed)
{
	memset(state, 0, sizeof(*state));
	*failed = "KVM_GET_IRQCHIP";
	for (unsigned i = 0; i < IRQCHIPS; i++) {
		state->chips[i].chip_id = i;
		if (host_ioctl(vm_fd, KVM_GET_IRQCHIP, &state->chips[i]) < 0)
			return false;
	}
	*failed = "KVM_GET_PIT2";
	if (host_ioctl(vm_fd, KVM_GET_PIT2, &state->pit) < 0)
		return false;
	*failed = "KVM_GET_CLOCK";
	return host_ioctl(vm_fd, KVM_GET_CLOCK, &state->clock) == 0;
}

/* What a guest cannot set, and KVM takes from a monitor as it is. */
static bool check(const struct irqchip_state *state)
{
	const struct kvm_ioapic_state *ioapic = &state->chips[KVM_IRQCHIP_IOAPIC].chip.ioapic;
	const struct kvm_pit_state2 *pit = &state->pit;

	if (ioapic->base_address != LAYOUT_IOAPIC_GPA || ioapic->id > 0xf)
		return false;
	for (unsigned i = 0; i < IRQCHIPS; i++)
		if (state->chips[i].chip_id != i)
			return false;
	for (unsigned i = KVM_IRQCHIP_PIC_MASTER; i <= KVM_IRQCHIP_PIC_SLAVE; i++)
		if (state->chips[i].chip.pic.irq_base & 7 ||
		    state->chips[i].chip.pic.priority_add > 7)
			return false;
	for (unsigned i = 0; i < 3; i++)
		if (pit->channels[i].count > PIT_MAX_COUNT)
			return false;
	return (pit->flags & ~(uint32_t)KVM_PIT_FLAGS_SPEAKER_DATA_ON) == 0;
}

bool irqchip_restore(int vm_fd, const struct irqchip_state *state, struct error_text *error)
{
	if (!check(state))
		return error_set(error,
				 "the snapshot's interrupt chips are in an impossible state");
	for (unsigned i = 0; i < IRQCHIPS; i++)
		if (host_ioctl(vm_fd, KVM_SET_IRQCHIP, &state->chips[i]) < 0)
			return error_set_errno(
				error, "the snapshot's interrupt chips: KVM_SET_IRQCHIP: %s",
				strerror(errno));
	return true;
}

bool irqchip_start_clock(int vm_fd, const struct irqchip_state *state, struct error_text *error)
{
	/* Without flags: KVM would add the time since the snapshot. */
	struct kvm_clock_data clock = { .clock = state->clock.clock };

	if (host_ioctl(vm_fd, KVM_SET_CLOCK, &clock) < 0)
		return error_set_errno(error, "the snapshot's clock: KVM_SET_CLOCK: %s",
				       strerror(errno));
	return host_ioctl(vm_fd, KVM_SET_PIT2, &state->pit) == 0 ||
	       error_set_errno(error, "the snapshot's timer: KVM_SET_PIT2: %s", strerror(errno));
}
