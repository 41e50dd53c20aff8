/* SPDX-License-Identifier: MIT */
/* The filters of system calls: every number, and the arguments that matter, each in a process of its own. */
#include "host/seccomp.h"

#include <fcntl.h>
#include <liburing.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

#include "tests/unit/check.h"

#define NUMBERS 480
#define X32     0x40000000

static const char *const names[] = {
	"vCPU",      "event loop",     "event loop with sockets", "event loop with snapshots",
	"with both", "vCPU that waits"
};

/* Whether the thread may make the call. Its arguments are such that it does nothing. */
static bool is_allowed(enum seccomp_thread thread, long number, long first, long second, long third)
{
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		signal(SIGSYS, SIG_DFL);
		signal(SIGSEGV, SIG_DFL); /* of rt_sigreturn */
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (!seccomp_enter(thread))
			_exit(2);
		syscall(number, first, second, third, -1, -1, -1);
		/* A way out that the filter has. */
		syscall(thread == SECCOMP_VCPU ? SYS_exit : SYS_exit_group, 0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 2);
	return !WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS;
}

static bool is_one_of(long number, const long *numbers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (numbers[i] == number)
			return true;
	return false;
}

/* With any arguments. */
static const long vcpu_calls[] = {
	SYS_futex,           SYS_write,   SYS_pwritev2,       SYS_poll,
	SYS_clock_gettime,   SYS_getpgid, SYS_rt_sigprocmask, SYS_rt_sigreturn,
	SYS_restart_syscall, SYS_exit,
};
static const long event_loop_calls[] = {
	SYS_futex,           SYS_write,      SYS_pwritev2,       SYS_poll,
	SYS_clock_gettime,   SYS_getpgid,    SYS_rt_sigprocmask, SYS_rt_sigreturn,
	SYS_restart_syscall, SYS_exit_group, SYS_io_uring_enter, SYS_rt_sigaction,
	SYS_close,           SYS_munmap,
};
static const long socket_calls[] = {
	SYS_sendmsg,   SYS_connect,     SYS_shutdown, SYS_sendto, SYS_recvfrom,
	SYS_epoll_ctl, SYS_epoll_pwait, SYS_lstat,    SYS_unlink,
};

static const long snapshot_calls[] = { SYS_fstat, SYS_pread64, SYS_lseek };

static const long waiting_calls[] = {
	SYS_read,  SYS_rt_sigtimedwait, SYS_rt_sigaction, SYS_close,
	SYS_lstat, SYS_unlink,          SYS_exit_group,
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool expected(enum seccomp_thread thread, long number)
{
	if (thread == SECCOMP_VCPU || thread == SECCOMP_VCPU_WAITING)
		return is_one_of(number, vcpu_calls, COUNT(vcpu_calls)) ||
		       (thread == SECCOMP_VCPU_WAITING &&
			is_one_of(number, waiting_calls, COUNT(waiting_calls)));
	return is_one_of(number, event_loop_calls, COUNT(event_loop_calls)) ||
	       (thread == SECCOMP_EVENT_LOOP_SNAPSHOTS &&
		is_one_of(number, snapshot_calls, COUNT(snapshot_calls))) ||
	       (thread == SECCOMP_EVENT_LOOP_SOCKETS &&
		is_one_of(number, socket_calls, COUNT(socket_calls)));
}

static void numbers(void)
{
	for (int thread = SECCOMP_VCPU; thread <= SECCOMP_VCPU_WAITING; thread++) {
		unsigned n_refused = 0;
		if (thread == SECCOMP_EVENT_LOOP_SOCKETS_SNAPSHOTS)
			continue; /* the sum of the two before */
		for (long number = 0; number < NUMBERS; number++) {
			/* uretprobe and uprobe: Linux keeps them for itself, and asks no filter. */
			if (number == 335 || number == 336)
				continue;
			bool allowed = is_allowed((enum seccomp_thread)thread, number, -1, -1, -1);
			if (allowed != expected((enum seccomp_thread)thread, number)) {
				fprintf(stderr, "%s: call %ld\n", names[thread], number);
				CHECK_EQ(allowed, !allowed);
			}
			n_refused += !allowed;
		}
		CHECK(n_refused >= 450);
		CHECK(!is_allowed((enum seccomp_thread)thread, X32 | SYS_write, -1, -1, -1));
	}
}

static void arguments(void)
{
	static const struct {
		long number, first, second, third;
		bool vcpu, event_loop, sockets;
	} calls[] = {
		{ SYS_ioctl, -1, KVM_RUN, 0, true, false, false },
		{ SYS_ioctl, -1, KVM_IRQ_LINE, 0, true, true, true },
		{ SYS_ioctl, -1, KVM_IOEVENTFD, 0, true, false, false },
		{ SYS_ioctl, -1, KVM_GET_REGS, 0, true, false, false },
		{ SYS_ioctl, -1, KVM_SET_REGS, 0, false, false, false },
		{ SYS_ioctl, -1, KVM_SET_USER_MEMORY_REGION, 0, false, false, false },
		{ SYS_ioctl, -1, TUNSETOFFLOAD, 0, true, false, false },
		{ SYS_ioctl, -1, TUNSETIFF, 0, false, false, false },
		{ SYS_ioctl, -1, TCSETS, 0, true, true, true },
		{ SYS_ioctl, -1, TIOCSTI, 0, false, false, false },
		{ SYS_ioctl, -1, FIONREAD, 0, false, true, true },
		{ SYS_tkill, 1, 0, 0, false, false, false },
		{ SYS_tgkill, 1, 1, 0, false, false, false },
		{ SYS_kill, 1, 0, 0, false, false, false },
		{ SYS_fcntl, -1, F_OFD_SETLK, 0, false, true, true },
		{ SYS_fcntl, -1, F_DUPFD, 0, false, false, false },
		{ SYS_madvise, 0, 0, MADV_DONTNEED, false, true, true },
		{ SYS_madvise, 0, 0, MADV_HWPOISON, false, false, false },
		{ SYS_io_uring_register, -1, IORING_REGISTER_SYNC_CANCEL, 0, false, true, true },
		{ SYS_io_uring_register, -1, IORING_REGISTER_BUFFERS, 0, false, false, false },
		{ SYS_io_uring_register, -1, IORING_REGISTER_PERSONALITY, 0, false, false, false },
		{ SYS_socket, AF_UNIX, -1, -1, false, false, true },
		{ SYS_socket, AF_INET, SOCK_STREAM, 0, false, false, false },
		{ SYS_socketpair, AF_UNIX, -1, -1, false, false, true },
		{ SYS_setsockopt, -1, SOL_SOCKET, SO_OOBINLINE, false, false, true },
		{ SYS_setsockopt, -1, SOL_SOCKET, SO_RCVBUFFORCE, false, false, false },
	};

	for (size_t i = 0; i < COUNT(calls); i++)
		for (int thread = SECCOMP_VCPU; thread <= SECCOMP_EVENT_LOOP_SOCKETS; thread++) {
			bool wanted = thread == SECCOMP_VCPU         ? calls[i].vcpu
				      : thread == SECCOMP_EVENT_LOOP ? calls[i].event_loop
								     : calls[i].sockets;
			if (is_allowed((enum seccomp_thread)thread, calls[i].number, calls[i].first,
				       calls[i].second, calls[i].third) != wanted) {
				fprintf(stderr, "%s: call %ld, case %zu\n", names[thread],
					calls[i].number, i);
				CHECK_EQ(!wanted, wanted);
			}
		}
}

/* The file is made without a name and linked, nothing else is opened; the machine is read, and not changed. */
static void snapshots(void)
{
	static const struct {
		long number, first, second, third;
		bool allowed;
	} calls[] = {
		{ SYS_ioctl, -1, KVM_GET_LAPIC, 0, true },
		{ SYS_ioctl, -1, KVM_GET_REGS, 0, true },
		{ SYS_ioctl, -1, KVM_SET_MSRS, 0, true },
		{ SYS_ioctl, -1, KVM_IRQ_LINE, 0, true },
		{ SYS_ioctl, -1, KVM_SET_LAPIC, 0, false },
		{ SYS_ioctl, -1, KVM_SET_REGS, 0, false },
		{ SYS_openat, -1, 0, SECCOMP_OPEN_UNNAMED, true },
		{ SYS_openat, -1, 0, O_RDONLY, false },
		{ SYS_openat, -1, 0, O_WRONLY | O_CREAT, false },
		{ SYS_ftruncate, -1, 0, 0, false },
		{ SYS_socket, AF_UNIX, -1, -1, false },
	};

	for (size_t i = 0; i < COUNT(calls); i++) {
		if (is_allowed(SECCOMP_EVENT_LOOP_SNAPSHOTS, calls[i].number, calls[i].first,
			       calls[i].second, calls[i].third) == calls[i].allowed)
			continue;
		fprintf(stderr, "call %ld, case %zu\n", calls[i].number, i);
		CHECK_EQ(!calls[i].allowed, calls[i].allowed);
	}
	CHECK(is_allowed(SECCOMP_VCPU_WAITING, SYS_ioctl, -1, KVM_SET_LAPIC, 0));
	CHECK(is_allowed(SECCOMP_VCPU_WAITING, SYS_ioctl, -1, KVM_RUN, 0));
	CHECK(!is_allowed(SECCOMP_VCPU_WAITING, SYS_ioctl, -1, KVM_SET_REGS, 0));
	CHECK(is_allowed(SECCOMP_EVENT_LOOP_SOCKETS_SNAPSHOTS, SYS_socket, AF_UNIX, -1, -1));
	CHECK(is_allowed(SECCOMP_EVENT_LOOP_SOCKETS_SNAPSHOTS, SYS_ioctl, -1, KVM_GET_LAPIC, 0));
}

int main(void)
{
	RUN(snapshots);
	RUN(numbers);
	RUN(arguments);
	return 0;
}
