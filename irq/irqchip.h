/* SPDX-License-Identifier: MIT */
/* The in-kernel interrupt hardware: local APICs, two PICs, one IOAPIC, one PIT. */
#ifndef IRQ_IRQCHIP_H
#define IRQ_IRQCHIP_H

/* KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2, KVM_SET_GSI_ROUTING. After guest memory (the reverse order
 * costs 5 ms on some hosts) and before the vCPUs (each gets a local APIC). Does not return on
 * failure (exit 122). */
void irqchip_create(int vm_fd);

#endif
