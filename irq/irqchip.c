/* SPDX-License-Identifier: MIT */
#include "irq/irqchip.h"

#include <linux/kvm.h>

#include "host/fail.h"
#include "host/ioctl.h"
#include "mem/layout.h"

#define PIC_PINS        8u
#define ISA_GSIS        16u
#define MAX_ROUTES      (ISA_GSIS + LAYOUT_IOAPIC_PINS)
#define PIC_CASCADE_GSI 2u
#define DELIVERY_EXTINT 7u

static struct kvm_irq_routing_entry irqchip_route(uint32_t gsi, uint32_t irqchip, uint32_t pin)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = irqchip, .pin = pin },
	};
}

/* The wiring of a PC, as boot/mptable.c tells it to the guest: GSI 0 (the PIT) is pin 0 of the PIC
 * but pin 2 of the IOAPIC, GSI 2 is the PIC's cascade, the others are the same on both. */
static void set_routing(int vm_fd)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry routes[MAX_ROUTES];
	} table = { .head.nr = 0 };

	for (uint32_t gsi = 0; gsi < LAYOUT_IOAPIC_PINS; gsi++) {
		if (gsi == PIC_CASCADE_GSI)
			continue;
		if (gsi < ISA_GSIS)
			table.routes[table.head.nr++] = irqchip_route(
				gsi,
				gsi < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
				gsi % PIC_PINS);
		table.routes[table.head.nr++] =
			irqchip_route(gsi, KVM_IRQCHIP_IOAPIC,
				      gsi == LAYOUT_TIMER_GSI ? LAYOUT_TIMER_IOAPIC_PIN : gsi);
	}
	if (host_ioctl(vm_fd, KVM_SET_GSI_ROUTING, &table) < 0)
		fail_errno(EXIT_HOST_REFUSED, "KVM_SET_GSI_ROUTING");
}

void irqchip_create(int vm_fd)
{
	/* The speaker port 0x61 is emulated with the PIT: Linux may calibrate the TSC through it. */
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	if (host_ioctl(vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
		fail_errno(EXIT_HOST_REFUSED, "KVM_CREATE_IRQCHIP");
	if (host_ioctl(vm_fd, KVM_CREATE_PIT2, &pit) < 0)
		fail_errno(EXIT_HOST_REFUSED, "KVM_CREATE_PIT2");
	set_routing(vm_fd);
}

/* As a PC's firmware leaves it: pin 0 of the IOAPIC carries the PIC's output (MP 1.4, 3.6.2.2). Linux reads every
 * pin, at 4 exits each, until it finds that one. Nothing is ever asserted there: the PIC's way is LINT0. */
void irqchip_set_boot_state(int vm_fd)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	if (host_ioctl(vm_fd, KVM_GET_IRQCHIP, &chip) < 0)
		fail_errno(EXIT_HOST_REFUSED, "KVM_GET_IRQCHIP");
	chip.chip.ioapic.redirtbl[0].fields.delivery_mode = DELIVERY_EXTINT;
	chip.chip.ioapic.redirtbl[0].fields.mask = 0;
	if (host_ioctl(vm_fd, KVM_SET_IRQCHIP, &chip) < 0)
		fail_errno(EXIT_HOST_REFUSED, "KVM_SET_IRQCHIP");
}

bool irqchip_is_masked(int vm_fd, unsigned gsi)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	return host_ioctl(vm_fd, KVM_GET_IRQCHIP, &chip) < 0 ||
	       chip.chip.ioapic.redirtbl[gsi].fields.mask;
}
