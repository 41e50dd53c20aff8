/* SPDX-License-Identifier: MIT */
/* Calls that a broken monitor would like to make, for sandbox_hook.c: none of them may have an effect. */
#ifndef TESTS_GUEST_SANDBOX_ATTACKS_H
#define TESTS_GUEST_SANDBOX_ATTACKS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/seccomp.h"

#define X32     0x40000000
#define NO_FD   1000     /* that is not open */
#define REFUSED (-4096L) /* as a result: SIGSYS */

/* One thread at a time. The handler of SIGSYS jumps: the event loop may not return from one. */
static jmp_buf refused;

/* A line on stderr, by a call that every thread has. */
__attribute__((format(printf, 1, 2))) static inline void say(const char *format, ...)
{
	char line[1024];
	va_list list;

	va_start(list, format);
	int n = vsnprintf(line, sizeof(line), format, list);
	va_end(list);
	if (n > 0)
		syscall(SYS_write, STDERR_FILENO, line, n);
}

/* Its result, -errno, or REFUSED. */
static inline long try(long number, const long arguments[6])
{
	if (setjmp(refused) != 0)
		return REFUSED;
	long result = syscall(number, arguments[0], arguments[1], arguments[2], arguments[3],
			      arguments[4], arguments[5]);
	return result == -1 ? -errno : result;
}

static struct sockaddr_un path_address = { .sun_family = AF_UNIX },
			  abstract_address = { .sun_family = AF_UNIX };
static socklen_t abstract_bytes;
static struct sockaddr_in internet = { .sin_family = AF_INET };
static char *const no_words[] = { NULL };
static const long unix_stream[6] = { AF_UNIX, SOCK_STREAM, 0 };
static char code[4096] __attribute__((aligned(4096)));

#define CALL(name)  .number = SYS_##name
#define WITH(...)   .arguments = { __VA_ARGS__ }
#define POINTER(to) ((long)(to))

static const struct attack {
	const char *name;
	long number;
	long arguments[6];
	bool on_socket; /* the first argument is a new Unix socket, if one can be had */
} attacks[] = {
	{ "write", CALL(write), WITH(NO_FD, POINTER(code), 1) },
	{ "open", CALL(open), WITH(POINTER("/etc/passwd"), O_RDONLY) },
	{ "openat", CALL(openat), WITH(AT_FDCWD, POINTER("/etc/passwd"), O_RDONLY) },
	{ "openat-unnamed", CALL(openat),
	  WITH(AT_FDCWD, POINTER("/tmp"), SECCOMP_OPEN_UNNAMED, 0600) },
	{ "openat-unnamed-to-read", CALL(openat),
	  WITH(AT_FDCWD, POINTER("/tmp"), (SECCOMP_OPEN_UNNAMED & ~O_ACCMODE) | O_RDONLY, 0600) },
	{ "linkat", CALL(linkat),
	  WITH(AT_FDCWD, POINTER("/etc/passwd"), AT_FDCWD, POINTER("/tmp/sandbox-hook"),
	       AT_SYMLINK_FOLLOW) },
	{ "linkat-without-following", CALL(linkat),
	  WITH(AT_FDCWD, POINTER("/etc/passwd"), AT_FDCWD, POINTER("/tmp/sandbox-hook"), 0) },
	{ "openat2", CALL(openat2), WITH(AT_FDCWD, POINTER("/etc/passwd"), -1, 24) },
	{ "open-by-handle", CALL(open_by_handle_at), WITH(AT_FDCWD, -1, O_RDONLY) },
	{ "creat", CALL(creat), WITH(POINTER("/tmp/sandbox-hook"), 0600) },
	{ "execve", CALL(execve),
	  WITH(POINTER("/bin/true"), POINTER(no_words), POINTER(no_words)) },
	{ "execveat", CALL(execveat), WITH(AT_FDCWD, POINTER("/bin/true"), POINTER(no_words)) },
	{ "fork", CALL(fork) },
	{ "vfork", CALL(vfork) },
	{ "clone", CALL(clone), WITH(SIGCHLD) },
	{ "clone3", CALL(clone3), WITH(-1, 64) },
	{ "ptrace", CALL(ptrace), WITH(16 /* PTRACE_ATTACH */, 1) },
	{ "process-vm-writev", CALL(process_vm_writev), WITH(1) },
	{ "pidfd-open", CALL(pidfd_open), WITH(1) },
	{ "pidfd-getfd", CALL(pidfd_getfd), WITH(0, 0) },
	{ "kill", CALL(kill), WITH(1, 0) },
	{ "tkill-other", CALL(tkill), WITH(1, 0) },
	{ "tgkill-other", CALL(tgkill), WITH(1, 1, 0) },
	{ "mmap-exec", CALL(mmap),
	  WITH(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1) },
	{ "mprotect-exec", CALL(mprotect), WITH(POINTER(code), 4096, PROT_READ | PROT_EXEC) },
	{ "pkey-mprotect", CALL(pkey_mprotect), WITH(POINTER(code), 4096, PROT_EXEC, -1) },
	{ "mremap", CALL(mremap), WITH(POINTER(code), 4096, 8192) },
	{ "memfd", CALL(memfd_create), WITH(POINTER("code")) },
	{ "madvise-hwpoison", CALL(madvise), WITH(POINTER(code), 4096, 100) },
	{ "madvise-wipeonfork", CALL(madvise), WITH(POINTER(code), 4096, MADV_WIPEONFORK) },
	{ "userfaultfd", CALL(userfaultfd), WITH(1) },
	{ "bpf", CALL(bpf), WITH(0, -1, 128) },
	{ "perf", CALL(perf_event_open), WITH(-1) },
	{ "keyctl", CALL(keyctl), WITH(0) },
	{ "ring-setup", CALL(io_uring_setup), WITH(8, POINTER(code)) },
	{ "ring-register-buffers", CALL(io_uring_register), WITH(NO_FD, 0) },
	{ "ring-register-personality", CALL(io_uring_register), WITH(NO_FD, 9) },
	{ "io-setup", CALL(io_setup), WITH(1, POINTER(code)) },
	{ "kvm-set-memory", CALL(ioctl), WITH(NO_FD, KVM_SET_USER_MEMORY_REGION) },
	{ "kvm-set-regs", CALL(ioctl), WITH(NO_FD, KVM_SET_REGS) },
	{ "kvm-create-vcpu", CALL(ioctl), WITH(NO_FD, KVM_CREATE_VCPU) },
	{ "kvm-create-device", CALL(ioctl), WITH(NO_FD, KVM_CREATE_DEVICE) },
	{ "kvm-irqfd", CALL(ioctl), WITH(NO_FD, KVM_IRQFD) },
	{ "tun-set-iff", CALL(ioctl), WITH(NO_FD, TUNSETIFF) },
	{ "terminal-input", CALL(ioctl), WITH(STDIN_FILENO, 0x5412 /* TIOCSTI */, POINTER("x")) },
	{ "file-flags", CALL(ioctl), WITH(NO_FD, 0x40086602) },
	{ "fcntl-dup", CALL(fcntl), WITH(STDERR_FILENO, F_DUPFD, 0) },
	{ "fcntl-owner", CALL(fcntl), WITH(STDERR_FILENO, F_SETOWN, 1) },
	{ "dup3", CALL(dup3), WITH(STDERR_FILENO, NO_FD, 0) },
	{ "socket-inet", CALL(socket), WITH(AF_INET, SOCK_STREAM, 0) },
	{ "socket-inet6", CALL(socket), WITH(AF_INET6, SOCK_DGRAM, 0) },
	{ "socket-netlink", CALL(socket), WITH(AF_NETLINK, SOCK_RAW, 0) },
	{ "socket-packet", CALL(socket), WITH(AF_PACKET, SOCK_RAW, 0) },
	{ "socket-vsock", CALL(socket), WITH(AF_VSOCK, SOCK_STREAM, 0) },
	{ "socket-alg", CALL(socket), WITH(AF_ALG, SOCK_SEQPACKET, 0) },
	{ "socketpair-inet", CALL(socketpair), WITH(AF_INET, SOCK_STREAM, 0, POINTER(code)) },
	{ "bind", CALL(bind), WITH(-1, POINTER(&path_address), sizeof(path_address)), true },
	{ "listen", CALL(listen), WITH(-1, 1), true },
	{ "accept", CALL(accept4), WITH(-1), true },
	{ "recvmsg", CALL(recvmsg), WITH(-1, POINTER(code)), true },
	{ "force-buffer", CALL(setsockopt), WITH(-1, SOL_SOCKET, SO_SNDBUFFORCE), true },
	{ "connect-path", CALL(connect), WITH(-1, POINTER(&path_address), sizeof(path_address)),
	  true },
	{ "connect-abstract", CALL(connect), WITH(-1, POINTER(&abstract_address)), true },
	{ "connect-inet", CALL(connect), WITH(-1, POINTER(&internet), sizeof(internet)), true },
	{ "unlink", CALL(unlink), WITH(POINTER(path_address.sun_path)) },
	{ "rename", CALL(rename), WITH(POINTER(path_address.sun_path), POINTER("/tmp/hook")) },
	{ "mkdir", CALL(mkdir), WITH(POINTER("/tmp/sandbox-hook"), 0700) },
	{ "chmod", CALL(chmod), WITH(POINTER(path_address.sun_path), 0777) },
	{ "mount", CALL(mount), WITH(POINTER("none"), POINTER("/"), POINTER("tmpfs")) },
	{ "unshare", CALL(unshare), WITH(0x10000000 /* CLONE_NEWUSER */) },
	{ "setns", CALL(setns), WITH(NO_FD) },
	{ "chroot", CALL(chroot), WITH(POINTER("/")) },
	{ "pivot-root", CALL(pivot_root), WITH(POINTER("/"), POINTER("/")) },
	{ "setuid", CALL(setuid), WITH(0) },
	{ "capset", CALL(capset), WITH(0, 0) },
	{ "prctl-dumpable", CALL(prctl), WITH(4 /* PR_SET_DUMPABLE */, 1) },
	{ "seccomp", CALL(seccomp), WITH(1, 0, 0) },
	{ "modify-ldt", CALL(modify_ldt), WITH(0) },
	{ "arch-prctl", CALL(arch_prctl), WITH(0x1001) },
	{ "iopl", CALL(iopl), WITH(3) },
	{ "init-module", CALL(init_module), WITH(0) },
	{ "kexec", CALL(kexec_load), WITH(0) },
	{ "reboot", CALL(reboot), WITH(0) },
	{ "personality", CALL(personality), WITH(-1) },
	{ "x32-write", X32 | SYS_write, WITH(NO_FD, POINTER(code), 1) },
};
#define ATTACKS (sizeof(attacks) / sizeof(attacks[0]))

static inline long attack(const struct attack *attack)
{
	long arguments[6];

	memcpy(arguments, attack->arguments, sizeof(arguments));
	if (attack->on_socket) {
		long fd = try(SYS_socket, unix_stream);
		arguments[0] = fd < 0 ? NO_FD : fd;
	}
	if (arguments[1] == POINTER(&abstract_address))
		arguments[2] = abstract_bytes;
	long result = try(attack->number, arguments);
	if (attack->on_socket && arguments[0] != NO_FD)
		close((int)arguments[0]);
	return result;
}

static inline void say_result(const char *name, long result)
{
	if (result == REFUSED)
		say("%s: refused\n", name);
	else if (result < 0)
		say("%s: errno %ld %s\n", name, -result, strerror((int)-result));
	else
		say("%s: done\n", name);
}

#endif
