/* SPDX-License-Identifier: MIT */
/* The in-kernel interrupt hardware: local APICs, two PICs, one IOAPIC, one PIT. */
#ifndef IRQ_IRQCHIP_H
#define IRQ_IRQCHIP_H

#include <stdbool.h>

/* KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2, KVM_SET_GSI_ROUTING. After guest memory (the reverse order
 * costs 5 ms on some hosts) and before the vCPUs (each gets a local APIC). Does not return on
 * failure (exit 122). */
void irqchip_create(int vm_fd);

/* After that, for a guest that boots. Does not return on failure (exit 122). */
void irqchip_set_boot_state(int vm_fd);

/* Whether the guest has the pin of a GSI from 3 on, or 1, masked in the IOAPIC. Any thread. */
bool irqchip_is_masked(int vm_fd, unsigned gsi);

#endif
