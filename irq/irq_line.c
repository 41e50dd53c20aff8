#include "irq/irq_line.h"

#include <linux/kvm.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/fail.h"
#include "host/ioctl.h"

void irq_line_open(struct irq_line *line, int vm_fd, uint32_t gsi)
{
	line->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (line->fd < 0)
		fail_errno(EXIT_HOST_REFUSED, "eventfd for GSI %u", gsi);
	struct kvm_irqfd request = { .fd = (uint32_t)line->fd, .gsi = gsi };
	if (host_ioctl(vm_fd, KVM_IRQFD, &request) < 0)
		fail_errno(EXIT_HOST_REFUSED, "KVM_IRQFD for GSI %u", gsi);
}

void irq_line_raise(const struct irq_line *line)
{
	uint64_t one = 1;

	/* KVM consumes the count at once; EAGAIN (a full counter) cannot happen. */
	ssize_t ignored = write(line->fd, &one, sizeof(one));
	(void)ignored;
}

void irq_line_close(struct irq_line *line)
{
	close(line->fd);
	line->fd = -1;
}
