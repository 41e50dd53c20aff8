/* SPDX-License-Identifier: MIT */
/* A VM that does not exist: the ioctls that would reach it are answered here, and interrupts counted. */
#ifndef TESTS_UNIT_IRQ_RIG_H
#define TESTS_UNIT_IRQ_RIG_H

#include <linux/kvm.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RIG_VM_FD (-2)
static const int rig_vm_fd = RIG_VM_FD;
#ifndef RIG_OTHER_IOCTL
#define RIG_OTHER_IOCTL(fd, request, argument) syscall(SYS_ioctl, fd, request, argument)
#endif

static atomic_uint rig_interrupts;
static atomic_uint rig_doorbells;
static atomic_ullong rig_doorbell_gpa; /* the last one's */

int ioctl(int fd, unsigned long request, ...)
{
	va_list list;

	va_start(list, request);
	void *argument = va_arg(list, void *);
	va_end(list);
	if (fd == RIG_VM_FD && (unsigned)request == (unsigned)KVM_IRQ_LINE) {
		const struct kvm_irq_level *edge = argument;
		atomic_fetch_add(&rig_interrupts, edge->level == 1);
		return 0;
	}
	if (fd == RIG_VM_FD && (unsigned)request == (unsigned)KVM_IOEVENTFD) {
		atomic_store(&rig_doorbell_gpa, ((const struct kvm_ioeventfd *)argument)->addr);
		atomic_fetch_add(&rig_doorbells, 1);
		return 0;
	}
	return (int)RIG_OTHER_IOCTL(fd, request, argument);
}

/* How many interrupts there were since it was last asked. */
static inline unsigned rig_take_interrupts(void)
{
	return atomic_exchange(&rig_interrupts, 0);
}

#endif
