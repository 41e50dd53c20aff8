/* SPDX-License-Identifier: MIT */
/*
 * An attacker inside the confined monitor. build/tests/vmm-hook is ./vmm's own objects and this one, linked with
 * --wrap: once a thread's loop begins, when it is confined and the guest may run, it makes the system calls that
 * SANDBOX_HOOK asks for, "THREAD WHAT":
 *
 *   THREAD   vcpu0, vcpu1 or events
 *   WHAT     sweep    every number, and every argument that a filter looks at; the refused ones have no effect
 *            ring     every operation and registration of the rings (events)
 *            flags    every flag of an operation (events); ends the process with status 0
 *            attacks  each of attacks[]: its line is "NAME: refused", "NAME: errno N" or "NAME: done"
 *            NAME     one of attacks[], with the monitor's own handler of SIGSYS
 *
 * SANDBOX_HOOK_SOCKET: the path, and the abstract name, of a socket that listens. The other threads wait; after
 * "hook: over" the VM goes on.
 */
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/exit_request.h"
#include "host/ring.h"
#include "host/seccomp.h"
#include "tests/guest/sandbox_attacks.h"

#define NUMBERS   512
#define RINGS_MAX 4

int __real_exit_request_status(const struct exit_request *request);
bool __real_seccomp_enter(unsigned uses);
void __real_seccomp_prepare(void);
void __real_ring_start(struct ring *ring);
int __real_io_uring_register_restrictions(struct io_uring *uring,
					  struct io_uring_restriction *restrictions, unsigned n);
int __wrap_exit_request_status(const struct exit_request *request);
bool __wrap_seccomp_enter(unsigned uses);
void __wrap_seccomp_prepare(void);
void __wrap_ring_start(struct ring *ring);
int __wrap_io_uring_register_restrictions(struct io_uring *uring,
					  struct io_uring_restriction *restrictions, unsigned n);

static const char *wanted_thread, *wanted;
static _Thread_local char thread_name[16];
static _Thread_local pid_t thread_id;
static _Thread_local bool has_passed;
static pid_t process_id;
static atomic_bool over;
static struct ring *main_ring;
static struct io_uring *rings[RINGS_MAX];
static unsigned n_rings;

/* The call is over; what it would have done has not happened. */
static void remember_refusal(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)info, (void)context;
	longjmp(refused, 1);
}

void __wrap_seccomp_prepare(void)
{
	struct sigaction action = { .sa_sigaction = remember_refusal,
				    .sa_flags = SA_SIGINFO | SA_NODEFER };

	__real_seccomp_prepare();
	if (wanted == NULL || strcmp(wanted, "sweep") == 0 || strcmp(wanted, "ring") == 0 ||
	    strcmp(wanted, "attacks") == 0)
		sigaction(SIGSYS, &action, NULL);
}

static bool passes(long number, long first, long second, long third)
{
	const long arguments[6] = { first, second, third, -1, -1, -1 };

	return try(number, arguments) != REFUSED;
}

/* Every number. exit, exit_group and rt_sigreturn do not come back; 335 and 336, uretprobe and uprobe, the kernel
 * keeps for itself and asks no filter. */
static void sweep_numbers(void)
{
	unsigned n_refused = 0;

	say("numbers:");
	for (long number = 0; number < NUMBERS; number++) {
		if (number == SYS_exit || number == SYS_exit_group || number == SYS_rt_sigreturn ||
		    number == 335 || number == 336)
			continue;
		if (passes(number, -1, -1, -1))
			say(" %ld", number);
		else
			n_refused++;
		if (passes(X32 | number, -1, -1, -1))
			say(" x32:%ld", number);
		else
			n_refused++;
	}
	for (long number = 1; number < 1l << 31; number <<= 1)
		if (passes(NUMBERS | number, -1, -1, -1))
			say(" %ld", NUMBERS | number);
		else
			n_refused++;
	say("\nrefused: %u\n", n_refused);
}

/* A signal to oneself may be sent. */
static bool is_own(long number, unsigned long value)
{
	return (number == SYS_tkill && value == (unsigned long)thread_id) ||
	       (number == SYS_tgkill && value == (unsigned long)process_id);
}

/* The values of one argument with which a call passes. */
static void sweep_values(const char *name, long number, unsigned at, unsigned long from,
			 unsigned long to)
{
	say("%s %lx-%lx:", name, from, to);
	for (unsigned long value = from; value <= to; value++) {
		long arguments[3] = { -1, -1, -1 };
		arguments[at] = (long)value;
		if (!is_own(number, value) &&
		    passes(number, arguments[0], arguments[1], arguments[2]))
			say(" %lx", value);
	}
	say("\n");
}

/* An ioctl's number is a direction, a size, a type and a number. Of the types that the monitor has open, KVM's and
 * terminals' (and TUN's), every number with the sizes that are in use; of the others a few. */
static void sweep_ioctls(void)
{
	static const unsigned sizes[] = { 0, 4, 8, 16, 1, 2, 24, 32, 64, 144, 208, 312, 4096 };
	static const unsigned own[] = { 0xae, 0x54 };
	unsigned n_sizes = sizeof(sizes) / sizeof(sizes[0]);

	say("ioctl:");
	for (unsigned type = 0; type < 256; type++) {
		bool is_own = type == own[0] || type == own[1];
		for (unsigned number = 0; number < 256; number += is_own ? 1 : 32)
			for (unsigned i = 0; i < (is_own ? n_sizes : 3) * 4; i++) {
				unsigned request =
					(i & 3) << 30 | sizes[i / 4] << 16 | type << 8 | number;
				if (passes(SYS_ioctl, -1, request, -1))
					say(" %x", request);
			}
	}
	say("\n");
}

static void sweep(void)
{
	sweep_numbers();
	sweep_ioctls();
	sweep_values("fcntl", SYS_fcntl, 1, 0, 2100);
	sweep_values("madvise", SYS_madvise, 2, 0, 300);
	sweep_values("socket", SYS_socket, 0, 0, 100);
	sweep_values("socketpair", SYS_socketpair, 0, 0, 100);
	sweep_values("setsockopt", SYS_setsockopt, 2, 0, 300);
	sweep_values("io_uring_register", SYS_io_uring_register, 1, 0, 300);
	sweep_values("io_uring_register", SYS_io_uring_register, 1, 0x80000000, 0x80000100);
	sweep_values("prctl", SYS_prctl, 0, 0, 100);
	/* Other threads and processes, the first ones among them. */
	sweep_values("tkill", SYS_tkill, 0, 0, 1024);
	sweep_values("tgkill", SYS_tgkill, 0, 0, 1024);
	sweep_values("kill", SYS_kill, 0, 0, 1024);
}

static int32_t ring_result;
static bool ring_done;

static void operation_done(struct ring_op *op, int32_t result)
{
	(void)op;
	ring_result = result;
	ring_done = true;
}

/* On the devices' ring, whose other completions go where they belong. */
static int32_t ring_try(uint8_t opcode, uint8_t flags, int fd, const void *address, uint32_t bytes,
			uint64_t offset)
{
	static struct ring_op op = { operation_done };
	struct io_uring_sqe *sqe = ring_prepare(main_ring);

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = opcode;
	sqe->flags = flags;
	sqe->fd = fd;
	sqe->addr = (uint64_t)(uintptr_t)address;
	sqe->len = bytes;
	sqe->off = offset;
	ring_commit(sqe, &op);
	ring_done = false;
	for (int tries = 0; tries < 100 && !ring_done; tries++)
		ring_wait_for(main_ring, 20);
	return ring_done ? ring_result : -ETIME;
}

/* The one that only has a table: whatever stands in its queue. */
static int32_t other_try(struct io_uring *uring, uint8_t opcode, uint32_t bytes)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(uring);
	struct io_uring_cqe *cqe;

	if (sqe == NULL)
		return -EBUSY;
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = opcode;
	sqe->len = bytes;
	sqe->fd = NO_FD;
	int result = io_uring_submit(uring);
	if (result < 0)
		return result;
	if (io_uring_peek_cqe(uring, &cqe) < 0)
		return -ETIME;
	result = cqe->res;
	io_uring_cqe_seen(uring, cqe);
	return result;
}

/* Some want a length, others none. */
static bool is_possible(unsigned ring, uint8_t opcode)
{
	for (uint32_t bytes = 0; bytes < 2; bytes++) {
		int32_t result = rings[ring] == &main_ring->uring
					 ? ring_try(opcode, 0, NO_FD, NULL, bytes, 0)
					 : other_try(rings[ring], opcode, bytes);
		if (result != -EACCES && result != -EINVAL)
			return true;
	}
	return false;
}

static void try_operations(unsigned ring)
{
	say("ring %u operations:", ring);
	for (unsigned opcode = 0; opcode < 128; opcode++)
		if (is_possible(ring, (uint8_t)opcode))
			say(" %u", opcode);
	say("\n");
}

static void try_registrations(unsigned ring)
{
	say("ring %u registrations:", ring);
	for (long op = 0; op < 64; op++) {
		const long arguments[6] = { rings[ring]->ring_fd, op, POINTER(code), 0 };
		long result = try(SYS_io_uring_register, arguments);
		/* EBADFD: the ring is enabled, and its restrictions stay. */
		if (result != REFUSED && result != -EACCES && result != -EBADFD)
			say(" %ld", op);
	}
	say("\n");
}

/* A worker of the kernel does it, whom no filter holds. */
static void try_workers(void)
{
	long fd = try(SYS_socket, unix_stream);

	if (fd < 0)
		return;
	say_result("worker-abstract", ring_try(IORING_OP_CONNECT, IOSQE_ASYNC, (int)fd,
					       &abstract_address, 0, abstract_bytes));
	say_result("worker-path", ring_try(IORING_OP_CONNECT, IOSQE_ASYNC, (int)fd, &path_address,
					   0, sizeof(path_address)));
	close((int)fd);
}

/* The ring stands still after a drain, which waits for what lies on it. */
static void try_flags(void)
{
	static const unsigned bits[] = { 0, 4, 5, 6, 7, 3, 2, 1 };

	say("flags:");
	for (unsigned i = 0; i < 8; i++)
		if (ring_try(IORING_OP_READ, (uint8_t)(1u << bits[i]), NO_FD, code, 1, 0) == -EBADF)
			say(" %u", bits[i]);
	say("\n");
}

static void try_rings(void)
{
	say("rings: %u\n", n_rings);
	for (unsigned i = 0; i < n_rings; i++) {
		try_operations(i);
		try_registrations(i);
	}
	say_result("no-file", ring_try(IORING_OP_READ, 0, NO_FD, code, 1, 0));
	say_result("fixed-file", ring_try(IORING_OP_READ, IOSQE_FIXED_FILE, 0, code, 1, 0));
	say_result("ring-open", ring_try(IORING_OP_OPENAT, 0, AT_FDCWD, "/etc/passwd", 0, 0));
	try_workers();
}

static void do_attacks(void)
{
	bool all = strcmp(wanted, "attacks") == 0;

	for (size_t i = 0; i < ATTACKS; i++)
		if (all || strcmp(wanted, attacks[i].name) == 0)
			say_result(attacks[i].name, attack(&attacks[i]));
}

static void strike(void)
{
	say("hook: %s\n", thread_name);
	if (strcmp(wanted, "sweep") == 0)
		sweep();
	else if (strcmp(wanted, "ring") == 0)
		try_rings();
	else if (strcmp(wanted, "flags") == 0)
		try_flags();
	else
		do_attacks();
	say("hook: over\n");
	if (strcmp(wanted, "flags") == 0)
		_exit(0);
	atomic_store(&over, true);
}

/* Where every thread comes by before its loop's first turn. */
int __wrap_exit_request_status(const struct exit_request *request)
{
	if (!has_passed && wanted != NULL && thread_name[0] != '\0') {
		has_passed = true;
		if (strcmp(thread_name, wanted_thread) == 0)
			strike();
		while (!atomic_load(&over))
			clock_pause_ms(1);
	}
	return __real_exit_request_status(request);
}

bool __wrap_seccomp_enter(unsigned uses)
{
	if (uses & SECCOMP_VCPU) /* those of the others begin before the first's */
		snprintf(thread_name, sizeof(thread_name), "vcpu%d", getpid() == gettid() ? 0 : 1);
	else
		strcpy(thread_name, "events");
	thread_id = gettid();
	process_id = getpid();
	return __real_seccomp_enter(uses);
}

void __wrap_ring_start(struct ring *ring)
{
	main_ring = ring;
	__real_ring_start(ring);
}

int __wrap_io_uring_register_restrictions(struct io_uring *uring,
					  struct io_uring_restriction *restrictions, unsigned n)
{
	if (n_rings < RINGS_MAX)
		rings[n_rings++] = uring;
	return __real_io_uring_register_restrictions(uring, restrictions, n);
}

__attribute__((constructor)) static void read_wish(void)
{
	static char words[64];
	const char *wish = getenv("SANDBOX_HOOK"), *beside = getenv("SANDBOX_HOOK_SOCKET");

	if (beside != NULL) { /* of the test's: at this path, and by this name */
		snprintf(path_address.sun_path, sizeof(path_address.sun_path), "%s", beside);
		snprintf(abstract_address.sun_path + 1, sizeof(abstract_address.sun_path) - 1, "%s",
			 beside);
		abstract_bytes = (socklen_t)(sizeof(sa_family_t) + 1 + strlen(beside));
	}
	if (wish == NULL)
		return;
	snprintf(words, sizeof(words), "%s", wish);
	wanted_thread = strtok(words, " ");
	wanted = strtok(NULL, " ");
}
