/* SPDX-License-Identifier: MIT */
#include "host/seccomp.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <ucontext.h>
#include <unistd.h>

#include "host/message.h"
#include "host/signals.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4 /* musl 1.2.3 does not know it */
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* nor this */
#endif
#ifndef SO_PASSRIGHTS /* of Linux 6.16 */
#define SO_PASSRIGHTS 83
#endif

/* Replaced when the filter is installed. */
#define OWN_PROCESS 0xfffffff0
#define OWN_THREAD  0xfffffff1

#define ANY 0xff

/* A call that threads of these uses may make: with any arguments, or only if one of them, its low 32 bits, has one of the
 * values. */
struct rule {
	uint16_t number, uses;
	uint8_t argument, n_values;
	const uint32_t *values;
};

/* clang-format off */

#define CALL(name, uses) { SYS_##name, (uses), ANY, 0, NULL }
#define LIST(...)        ((const uint32_t[]){ __VA_ARGS__ })
#define CALL_IF(name, uses, argument, ...)                                                         \
	{ SYS_##name, (uses), (argument), sizeof(LIST(__VA_ARGS__)) / sizeof(uint32_t), LIST(__VA_ARGS__) }

#define CPU     SECCOMP_VCPU
#define LOOP    SECCOMP_EVENT_LOOP
#define BOTH    (CPU | LOOP)
#define SOCKETS (SECCOMP_VSOCK | SECCOMP_STREAM_NIC | SECCOMP_CONTROL)

/* In the order of their numbers, which the filter searches by halves. */
static const struct rule rules[] = {
	CALL(read, SECCOMP_WAITING),   /* the order, or a signal */
	CALL(write, BOTH),             /* eventfds; the guest's output; stderr where RWF_APPEND is unknown */
	CALL(close, LOOP),             /* connections, and all at the end */
	CALL(fstat, SECCOMP_SNAPSHOT), /* images */
	CALL(lseek, SECCOMP_SNAPSHOT), /* holes of the file that this VM is from */
	CALL_IF(mmap, SECCOMP_SNAPSHOT, 2, /* the file that it has made, and as the guest's memory */
		PROT_READ,
		PROT_READ | PROT_WRITE),
	CALL(munmap, LOOP),            /* rings and threads, at the end */
	CALL(rt_sigprocmask, BOTH),    /* to stop, and at a thread's end */
	CALL(rt_sigreturn, CPU),       /* a kick's handler */
	CALL_IF(ioctl, CPU, 1,
		KVM_RUN,
		KVM_KVMCLOCK_CTRL,     /* after a pause */
		KVM_IRQ_LINE,          /* a register's write acknowledges an interrupt, or the UART raises one */
		KVM_IOEVENTFD,         /* a device's doorbells, at the window that the guest uses */
		KVM_GET_REGS,          /* where a guest was when it failed */
		TUNSETOFFLOAD,         /* a network driver starts */
		TIOCGPGRP, TCSETS),    /* the terminal, restored after a crash */
	CALL_IF(ioctl, SECCOMP_WAITING | SECCOMP_SNAPSHOT, 1, /* clocks */
		KVM_GET_MSRS,
		KVM_SET_MSRS,
		KVM_GET_DEVICE_ATTR,   /* the TSC's offset */
		KVM_SET_DEVICE_ATTR,
		KVM_GET_LAPIC,
		KVM_SET_LAPIC,
		KVM_SET_PIT2,
		KVM_SET_CLOCK),
	CALL_IF(ioctl, LOOP, 1,
		KVM_IRQ_LINE,
		KVM_SIGNAL_MSI,        /* an NMI, asked for by the control socket */
		KVM_GET_IRQCHIP,       /* whether the guest listens to its power button */
		FIONREAD,              /* is a stream's buffer in the host empty? */
		TIOCGPGRP,             /* is the terminal ours? */
		TCGETS, TCSETS),       /* its mode */
	CALL_IF(ioctl, SECCOMP_SNAPSHOT, 1,
		KVM_GET_PIT2,
		KVM_GET_CLOCK,
		KVM_GET_MP_STATE,
		KVM_GET_REGS,
		KVM_GET_SREGS,
		KVM_GET_DEBUGREGS,
		KVM_GET_VCPU_EVENTS,
		KVM_GET_XSAVE,
		KVM_GET_XSAVE2,
		KVM_GET_XCRS),
	CALL(pread64, SECCOMP_SNAPSHOT), /* the table of pages */
	CALL_IF(mremap, SECCOMP_SNAPSHOT, 3, /* the guest's memory, out of its way */
		MREMAP_MAYMOVE | MREMAP_DONTUNMAP),
	CALL_IF(madvise, SECCOMP_SNAPSHOT, 2,
		MADV_DONTDUMP,
		MADV_POPULATE_WRITE),
	CALL_IF(madvise, SECCOMP_VSOCK, 2, /* a stream's empty buffer is given back */
		MADV_DONTNEED),
	CALL_IF(socket, SECCOMP_VSOCK_PATH | SECCOMP_STREAM_NIC, 0, /* for a connection that the guest opens; passt's */
		AF_UNIX),
	CALL(connect, SECCOMP_STREAM_NIC), /* to passt, again */
	CALL(sendto, SECCOMP_CONTROL), /* answers */
	CALL(sendmsg, SECCOMP_VSOCK_OFFER),
	CALL(shutdown, SECCOMP_STREAM_NIC), /* a broken peer */
	CALL_IF(socketpair, SECCOMP_VSOCK_OFFER, 0, /* for a connection that the guest opens */
		AF_UNIX),
	CALL_IF(setsockopt, SOCKETS, 2,
		SO_OOBINLINE,
		SO_PASSRIGHTS),        /* a connection takes no descriptors */
	CALL(exit, CPU),               /* a vCPU's thread ends */
	CALL_IF(fcntl, LOOP, 1,
		F_OFD_SETLK,           /* an image is unlocked; the VM's place in the queue of those to be destroyed */
		F_SETFL),              /* our end of a new connection */
	CALL_IF(sched_setscheduler, SECCOMP_BEHIND, 1, /* no longer */
		SCHED_OTHER),
	CALL(futex, BOTH),             /* locks, semaphores */
	CALL(restart_syscall, CPU | SECCOMP_SNAPSHOT), /* after a stop and continue: a wait for a reset, or a rehearsal */
	CALL(clock_gettime, BOTH),     /* where the vDSO has no clock */
	CALL(exit_group, LOOP),
	CALL(epoll_ctl, SECCOMP_VSOCK), /* streams that end in one direction */
	CALL_IF(tgkill, CPU, 1,        /* after a crash */
		OWN_THREAD),
	CALL_IF(tgkill, LOOP, 0,       /* a kick of a vCPU's thread; after a crash, and to stop */
		OWN_PROCESS),
	CALL_IF(openat, SECCOMP_SNAPSHOT, 2, /* Landlock knows the folder */
		SECCOMP_OPEN_UNNAMED),
	CALL(newfstatat, SECCOMP_OWN_PATH), /* is it still ours? */
	CALL(unlinkat, SECCOMP_OWN_PATH),
	CALL_IF(linkat, SECCOMP_SNAPSHOT, 4,
		AT_SYMLINK_FOLLOW),
	CALL(ppoll, BOTH),             /* with a time limit for their reader; a short pause */
	CALL(epoll_pwait, SECCOMP_VSOCK),
	CALL(pwritev2, BOTH),          /* lines on stderr, with RWF_APPEND */
	CALL(io_uring_enter, LOOP),
};

/* clang-format on */

#define RULES (sizeof(rules) / sizeof(rules[0]))

/* Written from its end on: the two results stand there, and the jumps to them are short. */
#define FILTER_MAX 250u /* what a jump reaches */
#define ALLOW      (FILTER_MAX - 1)
#define TRAP       (FILTER_MAX - 2)

#define CALLS_IN_LINE 4u

struct filter {
	struct sock_filter code[FILTER_MAX];
	unsigned start;
	const struct rule *rules[RULES];
	unsigned n_rules;
};

static void put(struct filter *filter, struct sock_filter instruction)
{
	filter->code[--filter->start] = instruction;
}

static void put_load(struct filter *filter, size_t offset)
{
	put(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void put_jump(struct filter *filter, unsigned condition, uint32_t value, unsigned if_true,
		     unsigned if_false)
{
	unsigned next = filter->start;

	put(filter,
	    (struct sock_filter)BPF_JUMP(BPF_JMP | condition | BPF_K, value,
					 (uint8_t)(if_true - next), (uint8_t)(if_false - next)));
}

static uint32_t own(uint32_t value)
{
	return value == OWN_PROCESS  ? (uint32_t)getpid()
	       : value == OWN_THREAD ? (uint32_t)gettid()
				     : value;
}

/* The rules of one call, which look at the same argument; then what is there for other calls. */
static void put_call(struct filter *filter, unsigned first, unsigned end, unsigned other_call)
{
	const struct rule *rule = filter->rules[first];
	unsigned otherwise = TRAP;

	if (rule->argument == ANY) {
		put_jump(filter, BPF_JEQ, rule->number, ALLOW, other_call);
		return;
	}
	while (end-- > first)
		for (unsigned n = filter->rules[end]->n_values; n-- > 0;) {
			put_jump(filter, BPF_JEQ, own(filter->rules[end]->values[n]), ALLOW,
				 otherwise);
			otherwise = filter->start;
		}
	put_load(filter, offsetof(struct seccomp_data, args) +
				 rule->argument * sizeof(((struct seccomp_data *)NULL)->args[0]));
	put_jump(filter, BPF_JEQ, rule->number, filter->start, other_call);
}

/* One call after the other. */
static void put_line(struct filter *filter, unsigned first, unsigned end)
{
	unsigned other_call = TRAP;

	for (unsigned i = end; i-- > first;)
		if (i == first || filter->rules[i - 1]->number != filter->rules[i]->number) {
			put_call(filter, i, end, other_call);
			other_call = filter->start;
			end = i;
		}
}

/* A tree of comparisons, which ends in lines: the kernel makes one instruction of a comparison whose one way is the next, else
 * two, and compiles each several times. */
static void put_rules(struct filter *filter, unsigned first, unsigned end)
{
	const struct rule *const *rule = filter->rules;
	unsigned half = first, n_calls = 1;

	/* The rules of one call stay together. */
	for (unsigned i = first + 1; i < end; i++)
		if (rule[i]->number != rule[i - 1]->number) {
			n_calls++;
			if (half == first || i <= (first + end) / 2)
				half = i;
		}
	if (n_calls <= CALLS_IN_LINE) {
		put_line(filter, first, end);
		return;
	}
	put_rules(filter, half, end);
	unsigned above = filter->start;
	put_rules(filter, first, half);
	put_jump(filter, BPF_JGE, rule[half]->number, above, filter->start);
}

static void refused(int signal, siginfo_t *info, void *context)
{
	const long long *registers = ((const ucontext_t *)context)->uc_mcontext.gregs;

	warn("system call %d (0x%llx, 0x%llx, 0x%llx) is none that this thread needs: the sandbox "
	     "refuses it",
	     info->si_syscall, registers[REG_RDI], registers[REG_RSI], registers[REG_RDX]);
	signals_raise(signal); /* SA_RESETHAND: the default action now */
}

void seccomp_prepare(void)
{
	struct sigaction action = {
		.sa_sigaction = refused,
		.sa_flags = (int)(SA_SIGINFO | SA_RESETHAND | SA_NODEFER),
	};

	sigaction(SIGSYS, &action, NULL);
}

static void make_filter(struct filter *filter, unsigned uses)
{
	filter->n_rules = 0;
	for (unsigned i = 0; i < RULES; i++)
		if (rules[i].uses & uses)
			filter->rules[filter->n_rules++] = &rules[i];
	filter->start = FILTER_MAX;
	put(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	put(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP));
	put_rules(filter, 0, filter->n_rules);
	put_load(filter, offsetof(struct seccomp_data, nr));
	/* Numbers mean something else in other architectures; those of x32 have a bit of their own. */
	put_jump(filter, BPF_JEQ, AUDIT_ARCH_X86_64, filter->start, TRAP);
	put_load(filter, offsetof(struct seccomp_data, arch));
	/* Means nothing, but that the kernel does not try every number for those that always pass: that is a third of the time that it
	 * takes to make a filter, and spares an allowed call a hundredth of a microsecond. */
	put(filter, (struct sock_filter)BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 0));
}

bool seccomp_enter(unsigned uses)
{
	struct filter filter;

	make_filter(&filter, uses);
	struct sock_fprog program = { (unsigned short)(FILTER_MAX - filter.start),
				      filter.code + filter.start };
	/* Without the flag older kernels slow every thread that has a filter down (Speculative Store Bypass): no code of the guest's
	 * choosing runs in ours. */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		       &program) == 0;
}
