/* A device's interrupt: an eventfd that KVM turns into an edge on one GSI (KVM_IRQFD). */
#ifndef IRQ_IRQ_LINE_H
#define IRQ_IRQ_LINE_H

#include <stdint.h>

struct irq_line {
	int fd;
};

/* Does not return on failure (exit 3). */
void irq_line_open(struct irq_line *line, int vm_fd, uint32_t gsi);

/* Raises the interrupt once. Any thread. */
void irq_line_raise(const struct irq_line *line);

void irq_line_close(struct irq_line *line);

#endif
