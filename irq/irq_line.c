/* SPDX-License-Identifier: MIT */
#include "irq/irq_line.h"

#include <linux/kvm.h>

#include "host/ioctl.h"

void irq_line_raise(const struct irq_line *line)
{
	struct kvm_irq_level edge = { .irq = line->gsi, .level = 1 };

	/* Cannot fail: there is an interrupt chip, and the GSI is one of its pins. */
	host_ioctl(*line->vm_fd, KVM_IRQ_LINE, &edge);
	edge.level = 0;
	host_ioctl(*line->vm_fd, KVM_IRQ_LINE, &edge);
}
