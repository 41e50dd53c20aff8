/* SPDX-License-Identifier: MIT */
/* A device's interrupt: an edge on one GSI of KVM's chips (KVM_IRQ_LINE). Not an irqfd: for the IOAPIC's pins KVM
 * leaves an irqfd to a worker thread, and the guest may finish its work before that runs. */
#ifndef IRQ_IRQ_LINE_H
#define IRQ_IRQ_LINE_H

#include <stdint.h>

struct irq_line {
	const int *vm_fd; /* which may be made later than the line, before it is raised */
	uint32_t gsi;
};

/* Raises the interrupt once: the guest has it before its next instruction. Any thread, but calls for one line must
 * not overlap, or two edges may be one. */
void irq_line_raise(const struct irq_line *line);

#endif
