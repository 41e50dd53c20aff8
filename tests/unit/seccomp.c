/* SPDX-License-Identifier: MIT */
/* The filters of system calls: every number, and the arguments that matter, each in a process of its own. */
#include "host/seccomp.h"

#include <fcntl.h>
#include <liburing.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

#include "host/clock.h"
#include "tests/unit/check.h"

#define NUMBERS 480
#define X32     0x40000000

/* The kinds of thread: with a device each, and with all that go together. */
static const struct kind {
	const char *name;
	unsigned uses, n_calls; /* at most */
} kinds[] = {
	{ "vCPU", SECCOMP_VCPU, 12 },
	{ "vCPU that waits", SECCOMP_VCPU | SECCOMP_WAITING, 12 },
	{ "event loop", SECCOMP_EVENT_LOOP, 20 },
	{ "event loop, vsock", SECCOMP_EVENT_LOOP | SECCOMP_VSOCK, 20 },
	{ "event loop, vsock at a path",
	  SECCOMP_EVENT_LOOP | SECCOMP_VSOCK | SECCOMP_VSOCK_PATH | SECCOMP_OWN_PATH, 20 },
	{ "event loop, vsock that offers", SECCOMP_EVENT_LOOP | SECCOMP_VSOCK | SECCOMP_VSOCK_OFFER,
	  20 },
	{ "event loop, stream NIC", SECCOMP_EVENT_LOOP | SECCOMP_STREAM_NIC, 20 },
	{ "event loop, control socket", SECCOMP_EVENT_LOOP | SECCOMP_CONTROL | SECCOMP_OWN_PATH,
	  20 },
	{ "event loop, snapshots", SECCOMP_EVENT_LOOP | SECCOMP_SNAPSHOT, 22 },
	{ "event loop that waits", SECCOMP_EVENT_LOOP | SECCOMP_BEHIND, 14 },
	{ "event loop, all",
	  SECCOMP_EVENT_LOOP | SECCOMP_VSOCK | SECCOMP_VSOCK_PATH | SECCOMP_OWN_PATH |
		  SECCOMP_STREAM_NIC | SECCOMP_CONTROL | SECCOMP_SNAPSHOT | SECCOMP_BEHIND,
	  32 },
};

/* Whether the thread may make the call. Its arguments are such that it does nothing. */
static bool is_allowed(const struct kind *kind, long number, long first, long second, long third)
{
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		signal(SIGSYS, SIG_DFL);
		signal(SIGSEGV, SIG_DFL); /* of rt_sigreturn */
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (!seccomp_enter(kind->uses))
			_exit(2);
		syscall(number, first, second, third, -1, -1, -1);
		/* A way out that the filter has. */
		syscall(kind->uses & SECCOMP_VCPU ? SYS_exit : SYS_exit_group, 0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 2);
	return !WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS;
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define LOOP    SECCOMP_EVENT_LOOP
#define BOTH    (SECCOMP_VCPU | LOOP)
#define SOCKETS (SECCOMP_VSOCK | SECCOMP_STREAM_NIC | SECCOMP_CONTROL)

/* Who may make a call; some only with certain arguments. */
static const struct {
	long number;
	unsigned uses;
	bool any;
} calls[] = {
	{ SYS_futex, BOTH, true },
	{ SYS_write, BOTH, true },
	{ SYS_pwritev2, BOTH, true },
	{ SYS_ppoll, BOTH, true },
	{ SYS_clock_gettime, BOTH, true },
	{ SYS_rt_sigprocmask, BOTH, true },
	{ SYS_rt_sigreturn, SECCOMP_VCPU, true },
	{ SYS_restart_syscall, SECCOMP_VCPU | SECCOMP_SNAPSHOT, true },
	{ SYS_exit, SECCOMP_VCPU, true },
	{ SYS_ioctl, BOTH, false },
	{ SYS_tgkill, BOTH, false },
	{ SYS_exit_group, LOOP, true },
	{ SYS_read, SECCOMP_WAITING, true },
	{ SYS_io_uring_enter, LOOP, true },
	{ SYS_close, LOOP, true },
	{ SYS_munmap, LOOP, true },
	{ SYS_fcntl, LOOP, false },
	{ SYS_madvise, SECCOMP_VSOCK | SECCOMP_SNAPSHOT, false },
	{ SYS_mmap, SECCOMP_SNAPSHOT, false },
	{ SYS_mremap, SECCOMP_SNAPSHOT, false },
	{ SYS_sched_setscheduler, SECCOMP_BEHIND, false },
	{ SYS_epoll_ctl, SECCOMP_VSOCK, true },
	{ SYS_epoll_pwait, SECCOMP_VSOCK, true },
	{ SYS_setsockopt, SOCKETS, false },
	{ SYS_socket, SECCOMP_VSOCK_PATH | SECCOMP_STREAM_NIC, false },
	{ SYS_socketpair, SECCOMP_VSOCK_OFFER, false },
	{ SYS_sendmsg, SECCOMP_VSOCK_OFFER, true },
	{ SYS_connect, SECCOMP_STREAM_NIC, true },
	{ SYS_shutdown, SECCOMP_STREAM_NIC, true },
	{ SYS_sendto, SECCOMP_CONTROL, true },
	{ SYS_fstat, SECCOMP_SNAPSHOT, true },
	{ SYS_lseek, SECCOMP_SNAPSHOT, true },
	{ SYS_pread64, SECCOMP_SNAPSHOT, true },
	{ SYS_openat, SECCOMP_SNAPSHOT, false },
	{ SYS_linkat, SECCOMP_SNAPSHOT, false },
	{ SYS_newfstatat, SECCOMP_OWN_PATH, true },
	{ SYS_unlinkat, SECCOMP_OWN_PATH, true },
};

static bool expected(const struct kind *kind, long number)
{
	for (size_t i = 0; i < COUNT(calls); i++)
		if (calls[i].number == number)
			return (calls[i].uses & kind->uses) != 0 && calls[i].any;
	return false;
}

static void numbers_of(const struct kind *kind)
{
	unsigned n_refused = 0;

	for (long number = 0; number < NUMBERS; number++) {
		/* uretprobe and uprobe: Linux keeps them for itself, and asks no filter. */
		if (number == 335 || number == 336)
			continue;
		bool allowed = is_allowed(kind, number, -1, -1, -1);
		if (allowed != expected(kind, number)) {
			fprintf(stderr, "%s: call %ld\n", kind->name, number);
			CHECK_EQ(allowed, !allowed);
		}
		n_refused += !allowed;
	}
	CHECK(n_refused >= 445);
	CHECK(!is_allowed(kind, X32 | SYS_write, -1, -1, -1));
}

static void numbers(void)
{
	for (size_t i = 0; i < COUNT(kinds); i++)
		numbers_of(&kinds[i]);
}

/* The table that docs/security.md tells of is short. */
static void sizes(void)
{
	for (size_t i = 0; i < COUNT(kinds); i++) {
		unsigned n = 0;
		for (size_t j = 0; j < COUNT(calls); j++)
			n += (calls[j].uses & kinds[i].uses) != 0;
		CHECK(n <= kinds[i].n_calls);
	}
}

static void arguments(void)
{
	static const struct {
		long number, first, second, third;
		unsigned uses;
	} cases[] = {
		{ SYS_ioctl, -1, KVM_RUN, 0, SECCOMP_VCPU },
		{ SYS_ioctl, -1, KVM_IRQ_LINE, 0, BOTH },
		{ SYS_ioctl, -1, KVM_IOEVENTFD, 0, SECCOMP_VCPU },
		{ SYS_ioctl, -1, KVM_GET_REGS, 0, SECCOMP_VCPU | SECCOMP_SNAPSHOT },
		{ SYS_ioctl, -1, KVM_GET_LAPIC, 0, SECCOMP_SNAPSHOT | SECCOMP_WAITING },
		{ SYS_ioctl, -1, KVM_SET_LAPIC, 0, SECCOMP_SNAPSHOT | SECCOMP_WAITING },
		{ SYS_ioctl, -1, KVM_SET_MSRS, 0, SECCOMP_SNAPSHOT | SECCOMP_WAITING },
		{ SYS_ioctl, -1, KVM_SET_REGS, 0, 0 },
		{ SYS_ioctl, -1, KVM_SET_USER_MEMORY_REGION, 0, 0 },
		{ SYS_ioctl, -1, TUNSETOFFLOAD, 0, SECCOMP_VCPU },
		{ SYS_ioctl, -1, TUNSETIFF, 0, 0 },
		{ SYS_ioctl, -1, 0, 0, 0 },
		{ SYS_ioctl, -1, TCSETS, 0, BOTH },
		{ SYS_ioctl, -1, TIOCSTI, 0, 0 },
		{ SYS_ioctl, -1, FIONREAD, 0, LOOP },
		{ SYS_openat, -1, 0, SECCOMP_OPEN_UNNAMED, SECCOMP_SNAPSHOT },
		{ SYS_openat, -1, 0, O_RDONLY, 0 },
		{ SYS_openat, -1, 0, O_WRONLY | O_CREAT, 0 },
		{ SYS_ftruncate, -1, 0, 0, 0 },
		{ SYS_tkill, 1, 0, 0, 0 },
		{ SYS_tgkill, 1, 1, 0, 0 },
		{ SYS_kill, 1, 0, 0, 0 },
		{ SYS_fcntl, -1, F_OFD_SETLK, 0, LOOP },
		{ SYS_fcntl, -1, F_DUPFD, 0, 0 },
		{ SYS_madvise, 0, 0, MADV_DONTNEED, SECCOMP_VSOCK },
		{ SYS_madvise, 0, 0, MADV_DONTDUMP, SECCOMP_SNAPSHOT },
		{ SYS_madvise, 0, 0, MADV_HWPOISON, 0 },
		{ SYS_mmap, 0, 0, PROT_READ | PROT_WRITE, SECCOMP_SNAPSHOT },
		{ SYS_mmap, 0, 0, PROT_READ, SECCOMP_SNAPSHOT },
		{ SYS_mmap, 0, 0, PROT_READ | PROT_EXEC, 0 },
		{ SYS_sched_setscheduler, -1, SCHED_OTHER, 0, SECCOMP_BEHIND },
		{ SYS_sched_setscheduler, -1, SCHED_FIFO, 0, 0 },
		{ SYS_io_uring_register, -1, IORING_REGISTER_FILES, 0, 0 },
		{ SYS_socket, AF_UNIX, -1, -1, SECCOMP_VSOCK_PATH | SECCOMP_STREAM_NIC },
		{ SYS_socket, AF_INET, SOCK_STREAM, 0, 0 },
		{ SYS_socketpair, AF_UNIX, -1, -1, SECCOMP_VSOCK_OFFER },
		{ SYS_setsockopt, -1, SOL_SOCKET, SO_OOBINLINE, SOCKETS },
		{ SYS_setsockopt, -1, SOL_SOCKET, SO_RCVBUFFORCE, 0 },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		for (const struct kind *kind = kinds; kind < kinds + COUNT(kinds); kind++) {
			bool wanted = (cases[i].uses & kind->uses) != 0;
			if (is_allowed(kind, cases[i].number, cases[i].first, cases[i].second,
				       cases[i].third) == wanted)
				continue;
			fprintf(stderr, "%s: call %ld, case %zu\n", kind->name, cases[i].number, i);
			CHECK_EQ(!wanted, wanted);
		}
}

/* A wait goes on after a stop by the call that it is, which the filter has. */
static void stop_and_continue(void)
{
	int status, ends[2];

	CHECK(pipe(ends) == 0);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		signal(SIGSYS, SIG_DFL);
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (!seccomp_enter(SECCOMP_EVENT_LOOP))
			_exit(2);
		syscall(SYS_exit_group, clock_poll_ms(ends[0], POLLIN, 60000));
	}
	for (unsigned i = 0; i < 10; i++) {
		clock_pause_ms(10);
		CHECK(kill(child, SIGSTOP) == 0);
		CHECK(waitpid(child, &status, WUNTRACED) == child);
		CHECK(WIFSTOPPED(status));
		CHECK(kill(child, SIGCONT) == 0);
	}
	CHECK(write(ends[1], "", 1) == 1);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	RUN(numbers);
	RUN(stop_and_continue);
	RUN(arguments);
	RUN(sizes);
	return 0;
}
