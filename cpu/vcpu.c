/* SPDX-License-Identifier: MIT */
#include "cpu/vcpu.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "cpu/boot_state.h"
#include "host/clock.h"
#include "host/fail.h"
#include "host/gate.h"
#include "host/ioctl.h"
#include "host/kvm.h"
#include "host/message.h"
#include "host/refusal.h"
#include "host/sandbox.h"
#include "host/signals.h"
#include "host/text.h"

#ifndef KVM_PRE_FAULT_MEMORY /* of Linux 6.11 */
struct kvm_pre_fault_memory {
	uint64_t gpa, size, flags, padding[5];
};
#define KVM_PRE_FAULT_MEMORY _IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)
#endif

#define INSTRUCTION_MAX_BYTES 15
/* For each lock across cache lines, which holds the bus of all CPUs up. No kernel makes one. */
#define BUS_LOCK_PAUSE_MS 1

void vcpu_create(struct vcpu *vcpu, int kvm_fd, int vm_fd, unsigned index,
		 struct cpuid_table *cpuid, const struct vcpu_machine *machine)
{
	int run_bytes = host_ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	*vcpu = (struct vcpu){ .index = index, .machine = machine };
	sem_init(&vcpu->left, 0, 0);
	vcpu->fd = host_ioctl(vm_fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (vcpu->fd < 0)
		fail_errno(EXIT_HOST_REFUSED, "KVM_CREATE_VCPU %u", index);
	if (run_bytes < (int)sizeof(*vcpu->run))
		fail(EXIT_HOST_REFUSED, "KVM_GET_VCPU_MMAP_SIZE gives %d bytes", run_bytes);
	vcpu->run_bytes = (size_t)run_bytes;
	vcpu->run = mmap(NULL, vcpu->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			 vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		fail_errno(EXIT_HOST_REFUSED, "cannot map kvm_run of vCPU %u", index);
	cpuid_set_apic_id(cpuid, index);
	if (host_ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) < 0)
		fail_errno(EXIT_HOST_REFUSED, "KVM_SET_CPUID2 of vCPU %u", index);
	/* KVM has 32. Linux writes and reads four registers of each and makes a file of it; no error of the host's memory is told
	 * to a guest. Without any, Linux prints an error. */
	uint64_t machine_check_banks = 1;
	host_ioctl(vcpu->fd, KVM_X86_SETUP_MCE, &machine_check_banks);
}

void vcpu_set_boot_state(struct vcpu *vcpu, struct cpuid_table *cpuid)
{
	const char *failed;

	boot_state_set_xcr0(vcpu->fd, cpuid_xcr0(cpuid));
	if (!boot_state_set_common(vcpu->fd, &failed))
		fail_errno(EXIT_HOST_REFUSED, "%s of vCPU %u", failed, vcpu->index);
}

void vcpu_set_entry(struct vcpu *vcpu, uint64_t entry_gpa)
{
	const char *failed;

	if (!boot_state_set_bsp(vcpu->fd, entry_gpa, &failed))
		fail_errno(EXIT_HOST_REFUSED, "%s of vCPU %u", failed, vcpu->index);
}

static void handle_port(const struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size)
		bus_access(vcpu->machine->ports, run->io.port, data, run->io.size,
			   run->io.direction == KVM_EXIT_IO_OUT);
}

/* The guest's position, and the instruction if KVM gives it: " at rip 0x..., bytes 0f 0b ...". */
static void describe_position(const struct vcpu *vcpu, char *text, size_t text_bytes)
{
	const struct kvm_run *run = vcpu->run;
	struct kvm_regs regs;
	size_t used = 0;

	text[0] = '\0';
	if (host_ioctl(vcpu->fd, KVM_GET_REGS, &regs) == 0)
		used = (size_t)text_format(text, text_bytes, " at rip 0x%llx",
					   (unsigned long long)regs.rip);
	if (run->exit_reason != KVM_EXIT_INTERNAL_ERROR ||
	    run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION || run->internal.ndata < 3 ||
	    !(run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		return;
	size_t n = run->emulation_failure.insn_size;
	for (size_t i = 0; i < n && i < INSTRUCTION_MAX_BYTES && used + 8 < text_bytes; i++)
		used += (size_t)text_format(text + used, text_bytes - used, "%s%02x",
					    i == 0 ? ", instruction " : " ",
					    run->emulation_failure.insn_bytes[i]);
}

static void report_internal_error(const struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	const char *host = kvm_description();
	char position[128];

	describe_position(vcpu, position, sizeof(position));
	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
	    run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
		warn("KVM internal error, suberror 1 (emulation failure) on vCPU %u%s: this host's "
		     "KVM (%s) cannot run this guest's kernel code",
		     vcpu->index, position, host);
	else if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		warn("KVM internal error, suberror %u on vCPU %u%s (%s)", run->internal.suberror,
		     vcpu->index, position, host);
	else if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		warn("KVM cannot enter the guest (hardware reason 0x%llx) on vCPU %u%s",
		     (unsigned long long)run->fail_entry.hardware_entry_failure_reason, vcpu->index,
		     position);
	else if (run->exit_reason == KVM_EXIT_NOTIFY)
		warn("the guest has held vCPU %u, and KVM cannot take it back%s", vcpu->index,
		     position);
	else
		warn("unexpected KVM exit reason %u on vCPU %u%s", run->exit_reason, vcpu->index,
		     position);
}

static enum exit_kind kind_of(uint32_t exit_reason)
{
	switch (exit_reason) {
	case KVM_EXIT_IO:
		return EXIT_TO_PORT;
	case KVM_EXIT_MMIO:
		return EXIT_TO_MMIO;
	case KVM_EXIT_INTR:
		return EXIT_INTERRUPTED;
	default:
		return EXIT_OTHER;
	}
}

/* Returns the status that the VM ends with, or EXIT_REQUEST_NONE. */
static int handle_exit(const struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		handle_port(vcpu);
		return EXIT_REQUEST_NONE;
	case KVM_EXIT_MMIO:
		bus_access(vcpu->machine->mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len,
			   run->mmio.is_write);
		return EXIT_REQUEST_NONE;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return EXIT_REQUEST_NONE;
	case KVM_EXIT_X86_BUS_LOCK:
		clock_pause_ms(BUS_LOCK_PAUSE_MS);
		return EXIT_REQUEST_NONE;
	case KVM_EXIT_NOTIFY:
		return run->notify.flags & KVM_NOTIFY_CONTEXT_INVALID ? EXIT_KVM_ERROR
								      : EXIT_REQUEST_NONE;
	case KVM_EXIT_SYSTEM_EVENT:
		return EXIT_GUEST_ENDED;
	case KVM_EXIT_SHUTDOWN:
		return EXIT_TRIPLE_FAULT;
	default:
		return EXIT_KVM_ERROR;
	}
}

/* Whether it is this end that is to be explained. */
static bool post(const struct vcpu *vcpu, int status)
{
	return exit_request_post(vcpu->machine->exit, status) && !vcpu->machine->is_rehearsal;
}

static void post_exit(const struct vcpu *vcpu, int status)
{
	char position[128];

	if (!post(vcpu, status))
		return;
	if (status == EXIT_KVM_ERROR) {
		report_internal_error(vcpu);
	} else if (status == EXIT_TRIPLE_FAULT) {
		/* On AMD KVM has reset the vCPU by now. */
		describe_position(vcpu, position, sizeof(position));
		warn("guest triple fault on vCPU %u%s", vcpu->index,
		     strcmp(position, " at rip 0xfff0") == 0 ? "" : position);
	}
}

/* KVM_RUN failed: the host's refusal, or KVM's own fault. */
static void post_run_error(const struct vcpu *vcpu, int error)
{
	bool refused = error == EAGAIN || error == ENOMEM;
	char position[128];

	if (!post(vcpu, refused ? EXIT_HOST_REFUSED : EXIT_KVM_ERROR))
		return;
	describe_position(vcpu, position, sizeof(position));
	warn("KVM_RUN on vCPU %u%s: %s%s", vcpu->index, position, strerror(error),
	     error == EAGAIN ? " (no task is left for KVM's own thread: pids.max, RLIMIT_NPROC)"
			     : "");
}

/* Whether to try KVM_RUN again after `error`. EAGAIN means INIT for a vCPU other than the first; for the first it means
 * that KVM cannot start its thread at a VM's first KVM_RUN (Linux 6.13), which may pass. */
static bool is_passing(const struct vcpu *vcpu, int error, struct refusal *refusal)
{
	if (error == EINTR || (error == EAGAIN && vcpu->index != 0))
		return true;
	if (error != EAGAIN || !refusal_may_pass(refusal))
		return false;
	clock_pause_ms(REFUSAL_PAUSE_NS / 1000000);
	return true;
}

static void set_immediate_exit(const struct vcpu *vcpu, uint8_t value)
{
	__atomic_store_n(&vcpu->run->immediate_exit, value, __ATOMIC_SEQ_CST);
}

/* KVM_RUN was interrupted, which leaves no instruction half done. What asks for that closes the gate or posts the exit
 * request first, and sets immediate_exit then: cleared before both are looked at, it is not lost. */
static void pass_gate(const struct vcpu *vcpu)
{
	struct gate *gate = vcpu->machine->gate;
	bool has_waited = false;

	for (set_immediate_exit(vcpu, 0); gate_pass(gate); set_immediate_exit(vcpu, 0))
		has_waited = true;
	if (has_waited)
		host_ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL,
			   0); /* EINVAL: the guest has no such clock */
}

/* Its first instructions may run while the event loop's thread still gives its last rights up; what it asks for waits. */
static void admit_guest(const struct vcpu *vcpu, bool *admitted)
{
	sem_t *confined = vcpu->machine->confined;

	if (*admitted)
		return;
	signals_wait_past(confined);
	sem_post(confined); /* for the other vCPUs */
	*admitted = true;
}

void vcpu_run(struct vcpu *vcpu)
{
	const struct vcpu_machine *machine = vcpu->machine;
	struct refusal refusal = { 0 };
	bool admitted = false;

	if (vcpu->index == 0)
		boot_timer_mark(machine->timer, BOOT_FIRST_KVM_RUN);
	while (exit_request_status(machine->exit) == EXIT_REQUEST_NONE) {
		int error = host_ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? errno : 0;
		admit_guest(vcpu, &admitted);
		if (error == 0) {
			counter_add(&vcpu->exits[kind_of(vcpu->run->exit_reason)], 1);
			int status = handle_exit(vcpu);
			if (status != EXIT_REQUEST_NONE)
				post_exit(vcpu, status);
			continue;
		}
		counter_add(&vcpu->exits[EXIT_INTERRUPTED], 1);
		if (error == EINTR && machine->gate != NULL)
			pass_gate(vcpu);
		else if (!is_passing(vcpu, error, &refusal))
			post_run_error(vcpu, error);
	}
	sem_post(&vcpu->left);
}

/* Interrupts KVM_RUN and any other system call of a vCPU's thread. */
static void kick_handler(int signal)
{
	(void)signal;
}

void vcpu_adopt_thread(struct vcpu *vcpu)
{
	/* No SA_RESTART: a write to a full console must return, too. */
	struct sigaction action = { .sa_handler = kick_handler };
	sigset_t kick;

	sigaction(SIGNALS_KICK, &action, NULL);
	/* From here on a kick finds its handler, also one that came before. */
	sigemptyset(&kick);
	sigaddset(&kick, SIGNALS_KICK);
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
	atomic_store(&vcpu->thread_id, gettid());
	vcpu->started = true;
}

/* A signal waits, and is admitted within KVM_RUN alone: it comes back just before it enters the guest. */
void vcpu_warm(const struct vcpu *vcpu)
{
	struct {
		uint32_t bytes, blocked[2];
	} mask = { 8, { ~(1u << (SIGNALS_KICK - 1)), ~0u } };
	sigset_t kick;

	sigemptyset(&kick);
	sigaddset(&kick, SIGNALS_KICK);
	pthread_sigmask(SIG_BLOCK, &kick, NULL);
	signals_kick(gettid());
	/* What fails here fails again at the order, and is reported then. */
	if (host_ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, &mask) == 0)
		host_ioctl(vcpu->fd, KVM_RUN, 0);
	host_ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, NULL);
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
}

bool vcpu_map_memory(const struct vcpu *vcpu, uint64_t gpa, uint64_t bytes)
{
	struct kvm_pre_fault_memory range = { .gpa = gpa, .size = bytes };

	return host_ioctl(vcpu->fd, KVM_PRE_FAULT_MEMORY, &range) == 0;
}

static void *run_on_own_thread(void *argument)
{
	struct vcpu *vcpu = argument;
	sem_t *order = vcpu->machine->order;
	char name[16];

	text_format(name, sizeof(name), "vmm-vcpu%u", vcpu->index);
	prctl(PR_SET_NAME, name);
	if (order != NULL)
		vcpu_warm(vcpu);
	sandbox_enter(SECCOMP_VCPU);
	atomic_store(&vcpu->thread_id, gettid());
	if (order != NULL)
		signals_wait_past(order);
	vcpu_run(vcpu);
	return NULL;
}

void vcpu_start(struct vcpu *vcpu)
{
	errno = pthread_create(&vcpu->thread, NULL, run_on_own_thread, vcpu);
	if (errno != 0)
		fail_errno(EXIT_HOST_REFUSED, "cannot start the thread of vCPU %u", vcpu->index);
	vcpu->started = vcpu->has_own_thread = true;
}

void vcpu_hold(const struct vcpu *vcpu)
{
	set_immediate_exit(vcpu, 1);
}

void vcpu_interrupt(const struct vcpu *vcpu)
{
	/* This covers the moment between the loop's check and KVM_RUN. */
	vcpu_hold(vcpu);
	/* 0: its thread finds that, or the exit request, before its first KVM_RUN. */
	int thread = atomic_load(&vcpu->thread_id);
	if (thread != 0)
		signals_kick(thread);
}

void vcpu_stop(struct vcpu *vcpu)
{
	if (!vcpu->started)
		return;
	vcpu_interrupt(vcpu);
	signals_wait_past(&vcpu->left);
	if (vcpu->has_own_thread)
		pthread_join(vcpu->thread, NULL);
	vcpu->started = false;
}

void vcpu_close(struct vcpu *vcpu)
{
	munmap(vcpu->run, vcpu->run_bytes);
	close(vcpu->fd);
}
