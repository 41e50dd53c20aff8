/* SPDX-License-Identifier: MIT */
/* KVM's interrupt chips, timer and clock of a VM as data, and back. */
#ifndef IRQ_IRQCHIP_STATE_H
#define IRQ_IRQCHIP_STATE_H

#include <assert.h>
#include <linux/kvm.h>
#include <stdbool.h>

#include "host/error.h"

#define IRQCHIPS 3 /* two PICs, the IOAPIC */

struct irqchip_state {
	struct kvm_irqchip chips[IRQCHIPS];
	struct kvm_pit_state2 pit;
	struct kvm_clock_data clock;
};
static_assert(sizeof(struct irqchip_state) == 1720, "part of the snapshot's file");

/* False with errno; *failed names what KVM refused. */
bool irqchip_save(int vm_fd, struct irqchip_state *state, const char **failed);

/* Into chips that are as irqchip_create() leaves them. False: *error says why. */
bool irqchip_restore(int vm_fd, const struct irqchip_state *state, struct error_text *error);

/* What runs with time: the PIT, and KVM's clock, which goes on where it stood. */
bool irqchip_start_clock(int vm_fd, const struct irqchip_state *state, struct error_text *error);

#endif
