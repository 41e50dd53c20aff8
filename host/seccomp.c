/* SPDX-License-Identifier: MIT */
#include "host/seccomp.h"

#include <assert.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <ucontext.h>
#include <unistd.h>

#include "host/message.h"

#ifndef SO_PASSRIGHTS /* of Linux 6.16 */
#define SO_PASSRIGHTS 83
#endif

#define LOAD(field)     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(action)  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_##action)
#define IS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), 0, skip)

/* Numbers mean something else in other architectures; those of x32 have a bit of their own. */
#define BEGIN                                                                                      \
	LOAD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0), RETURN(TRAP),    \
		LOAD(nr)
#define CALL(name) IS(SYS_##name, 1), RETURN(ALLOW)
/* Only if an argument, its low 32 bits, is one of n values. These follow, then OTHERWISE. */
#define CALL_IF(name, argument, n) IS(SYS_##name, 2 * (n) + 2), LOAD(args[argument])
#define VALUE(value)               IS(value, 1), RETURN(ALLOW)
#define OTHERWISE                  RETURN(TRAP)
#define OTHERWISE_GO_ON            LOAD(nr) /* a later rule has further values */
#define END                        RETURN(TRAP)

/* Replaced when the filter is installed. */
#define OWN_PROCESS 0xfffffff0
#define OWN_THREAD  0xfffffff1

/* clang-format off */

#define TERMINAL \
		VALUE(TIOCGPGRP),      /* is it ours? */ \
		VALUE(TCSETS)

/* What both kinds of thread need: locks, signals, and lines on stderr. */
#define COMMON \
	CALL(futex),                   /* locks, semaphores */ \
	CALL(write),                   /* eventfds; the guest's output; stderr where RWF_APPEND is unknown */ \
	CALL(pwritev2),                /* lines on stderr, with RWF_APPEND */ \
	CALL(poll),                    /* with a time limit for their reader; a short pause */ \
	CALL(clock_gettime),           /* where the vDSO has no clock */ \
	CALL(getpgid),                 /* getpgrp(): is the terminal ours? */ \
	CALL(rt_sigprocmask),          /* around raise(), and at a thread's end */ \
	CALL(rt_sigreturn),            /* a kick's handler */ \
	CALL(restart_syscall),         /* poll, after a stop and continue */ \
	CALL_IF(tkill, 0, 1),          /* raise(): after a crash, and to stop */ \
		VALUE(OWN_THREAD), \
		OTHERWISE

static const struct sock_filter begin[] = { BEGIN };
static const struct sock_filter end[] = { END };

static const struct sock_filter vcpu_calls[] = {
	CALL_IF(ioctl, 1, 8),
		VALUE(KVM_RUN),
		VALUE(KVM_KVMCLOCK_CTRL), /* after a pause */
		VALUE(KVM_IRQ_LINE),   /* a register's write acknowledges an interrupt, or the UART raises one */
		VALUE(KVM_IOEVENTFD),  /* a device's doorbells, at the window that the guest uses */
		VALUE(KVM_GET_REGS),   /* where a guest was when it failed */
		VALUE(TUNSETOFFLOAD),  /* a network driver starts */
		TERMINAL,              /* restored after a crash */
		OTHERWISE,
	COMMON,
	CALL(exit),                    /* a vCPU's thread ends */
};

/* Before the others. A monitor that waits has been confined already: that takes time. */
static const struct sock_filter waiting_calls[] = {
	CALL_IF(ioctl, 1, 8),
		VALUE(KVM_GET_MSRS),
		VALUE(KVM_SET_MSRS),
		VALUE(KVM_GET_DEVICE_ATTR), /* the TSC's offset */
		VALUE(KVM_SET_DEVICE_ATTR),
		VALUE(KVM_GET_LAPIC),
		VALUE(KVM_SET_LAPIC),
		VALUE(KVM_SET_PIT2),
		VALUE(KVM_SET_CLOCK),
		OTHERWISE_GO_ON,
	CALL(read),                    /* the order */
	CALL(rt_sigtimedwait),         /* a signal, and whether it is ignored */
	CALL(rt_sigaction),
	CALL(close),
	CALL_IF(fcntl, 1, 1),          /* at the end images are unlocked, and sockets' paths removed */
		VALUE(F_OFD_SETLK),
		OTHERWISE,
	CALL(lstat),
	CALL(unlink),
	CALL(exit_group),
};

static const struct sock_filter event_loop_calls[] = {
	CALL(io_uring_enter),
	CALL_IF(ioctl, 1, 8),
		VALUE(KVM_IRQ_LINE),
		VALUE(KVM_SIGNAL_MSI), /* an NMI, asked for by the control socket */
		VALUE(KVM_GET_IRQCHIP), /* whether the guest listens to its power button */
		VALUE(FIONREAD),       /* is a stream's buffer in the host empty? */
		VALUE(TIOCGWINSZ),     /* isatty() */
		VALUE(TCGETS),
		TERMINAL,
		OTHERWISE,
	COMMON,
	CALL_IF(io_uring_register, 1, 5), /* on rings that exist; each allows only what it needs */
		VALUE(IORING_REGISTER_IOWQ_MAX_WORKERS),
		VALUE(IORING_REGISTER_RESTRICTIONS),
		VALUE(IORING_REGISTER_ENABLE_RINGS),
		VALUE(IORING_REGISTER_SYNC_CANCEL),
		VALUE(IORING_REGISTER_FILES), /* the VM, at the end */
		OTHERWISE,
	CALL_IF(tgkill, 0, 1),         /* a kick of a vCPU's thread */
		VALUE(OWN_PROCESS),
		OTHERWISE,
	CALL(rt_sigaction),            /* whether a signal is ignored */
	CALL(close),                   /* connections, and all at the end */
	CALL_IF(fcntl, 1, 2),
		VALUE(F_OFD_SETLK),    /* an image is unlocked; the VM's place in the queue of those to be destroyed */
		VALUE(F_SETFL),        /* our end of a pair of sockets */
		OTHERWISE,
	CALL_IF(madvise, 2, 1),        /* a stream's empty buffer is given back */
		VALUE(MADV_DONTNEED),
		OTHERWISE,
	CALL(munmap),                  /* rings and threads, at the end */
	CALL(exit_group),
};

static const struct sock_filter socket_calls[] = {
	CALL_IF(socketpair, 0, 1),     /* the same, by a descriptor for the launcher */
		VALUE(AF_UNIX),
		OTHERWISE,
	CALL(sendmsg),
	CALL(connect),                 /* to passt, again */
	CALL(shutdown),
	CALL(sendto),                  /* the control socket's requests and answers */
	CALL(recvfrom),
	CALL_IF(socket, 0, 1),         /* for a connection that the guest opens */
		VALUE(AF_UNIX),
		OTHERWISE,
	CALL(epoll_ctl),               /* streams that end in one direction */
	CALL(epoll_pwait),
	CALL_IF(setsockopt, 2, 2),
		VALUE(SO_OOBINLINE),
		VALUE(SO_PASSRIGHTS),  /* a connection takes no descriptors */
		OTHERWISE,
	CALL(lstat),                   /* the socket's path is removed if it is still ours */
	CALL(unlink),
};

/* To read all of the machine, and to make the file. Before the others. */
static const struct sock_filter snapshot_calls[] = {
	CALL_IF(ioctl, 1, 14),
		VALUE(KVM_GET_PIT2),
		VALUE(KVM_GET_CLOCK),
		VALUE(KVM_GET_DEVICE_ATTR), /* the TSC's offset */
		VALUE(KVM_GET_MP_STATE),
		VALUE(KVM_GET_LAPIC),
		VALUE(KVM_GET_REGS),
		VALUE(KVM_GET_SREGS),
		VALUE(KVM_GET_DEBUGREGS),
		VALUE(KVM_GET_VCPU_EVENTS),
		VALUE(KVM_GET_XSAVE),
		VALUE(KVM_GET_XSAVE2),
		VALUE(KVM_GET_XCRS),
		VALUE(KVM_GET_MSRS),
		VALUE(KVM_SET_MSRS),   /* which registers take their own values */
		OTHERWISE_GO_ON,
	CALL_IF(openat, 2, 1),         /* Landlock knows the folder */
		VALUE(SECCOMP_OPEN_UNNAMED),
		OTHERWISE,
	CALL_IF(linkat, 4, 1),
		VALUE(AT_SYMLINK_FOLLOW),
		OTHERWISE,
	CALL(fstat),                   /* images */
	CALL(pread64),                 /* the table of pages */
	CALL(lseek),                   /* holes of the file that this VM is from */
};

/* clang-format on */

#define PIECE(name)                                                                                \
	{                                                                                          \
		(name), sizeof(name) / sizeof((name)[0])                                           \
	}
#define FILTER_MAX 256
#define PIECES     5

struct piece {
	const struct sock_filter *code;
	unsigned short n;
};

static const struct piece filters[][PIECES] = {
	[SECCOMP_VCPU] = { PIECE(begin), PIECE(vcpu_calls), PIECE(end) },
	[SECCOMP_VCPU_WAITING] = { PIECE(begin), PIECE(waiting_calls), PIECE(vcpu_calls),
				   PIECE(end) },
	[SECCOMP_EVENT_LOOP] = { PIECE(begin), PIECE(event_loop_calls), PIECE(end) },
	[SECCOMP_EVENT_LOOP_SOCKETS] = { PIECE(begin), PIECE(event_loop_calls), PIECE(socket_calls),
					 PIECE(end) },
	[SECCOMP_EVENT_LOOP_SNAPSHOTS] = { PIECE(begin), PIECE(snapshot_calls),
					   PIECE(event_loop_calls), PIECE(end) },
	[SECCOMP_EVENT_LOOP_SOCKETS_SNAPSHOTS] = { PIECE(begin), PIECE(snapshot_calls),
						   PIECE(event_loop_calls), PIECE(socket_calls),
						   PIECE(end) },
};
static_assert(sizeof(begin) + sizeof(snapshot_calls) + sizeof(event_loop_calls) +
			      sizeof(socket_calls) + sizeof(end) <=
		      FILTER_MAX * sizeof(struct sock_filter),
	      "room");

static void refused(int signal, siginfo_t *info, void *context)
{
	const long long *registers = ((const ucontext_t *)context)->uc_mcontext.gregs;

	warn("system call %d (0x%llx, 0x%llx, 0x%llx) is none that this thread needs: the sandbox "
	     "refuses it",
	     info->si_syscall, registers[REG_RDI], registers[REG_RSI], registers[REG_RDX]);
	raise(signal); /* SA_RESETHAND: the default action now */
}

void seccomp_prepare(void)
{
	struct sigaction action = {
		.sa_sigaction = refused,
		.sa_flags = (int)(SA_SIGINFO | SA_RESETHAND | SA_NODEFER),
	};

	sigaction(SIGSYS, &action, NULL);
}

bool seccomp_enter(enum seccomp_thread thread)
{
	struct sock_filter code[FILTER_MAX];
	struct sock_fprog program = { .filter = code };

	for (unsigned i = 0; i < PIECES; i++) {
		const struct piece *piece = &filters[thread][i];
		for (unsigned j = 0; j < piece->n; j++)
			code[program.len++] = piece->code[j];
	}
	for (unsigned i = 0; i < program.len; i++) {
		if (code[i].k == OWN_PROCESS)
			code[i].k = (uint32_t)getpid();
		else if (code[i].k == OWN_THREAD)
			code[i].k = (uint32_t)gettid();
	}
	/* Without the flag older kernels slow every thread that has a filter down (Speculative Store Bypass): no code of the guest's
	 * choosing runs in ours. */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		       &program) == 0;
}
