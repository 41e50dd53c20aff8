/*
 * vmm: boots Linux in a KVM microVM. main() is the table of contents: the stages in the order in
 * which they run, and backwards again. docs/design.md tells why the order is as it is.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "host/fail.h"
#include "host/file.h"
#include "host/status_report.h"
#include "machine/machine.h"

#define PAGE_BYTES  4096
#define PATIENCE_NS 300000
/* Devices and vCPUs, about. */
#define OWN_DESCRIPTORS 256u
/* What is waited for once the guest has stopped; less after a signal, which wants an end within a
 * second. */
#define FINISH_MS              30000u
#define FINISH_AFTER_SIGNAL_MS 250u
static const struct disk_limits disk_limits = { FINISH_MS, FINISH_AFTER_SIGNAL_MS };
static const struct console_limits console_limits = {
	.stall_ms = 5000,
	.total_ms = FINISH_MS,
	.hurry_ms = FINISH_AFTER_SIGNAL_MS,
};

static struct machine machine __attribute__((aligned(PAGE_BYTES)));

/* Whatever is wrong with the rest, the report tells it. */
static void open_status_report(int argc, char **argv)
{
	int fd = options_find_status_fd(argc, argv);
	struct error_text error;

	if (fd >= 0 && !status_report_open(fd, &error))
		fail(error.code, "--status-fd %d: %s", fd, error.text);
}

static _Noreturn void print_and_exit(const char *text)
{
	if (fputs(text, stdout) == EOF || fflush(stdout) == EOF)
		fail_errno(EXIT_HOST_REFUSED, "stdout");
	status_report_send(EXIT_GUEST_ENDED, 0, NULL);
	exit(EXIT_GUEST_ENDED);
}

static void read_options(struct machine *m, int argc, char **argv)
{
	struct error_text error;

	switch (options_parse(&m->config, argc, argv, &error)) {
	case OPTIONS_HELP:
		print_and_exit(options_help_text);
	case OPTIONS_VERSION:
		print_and_exit("vmm " VMM_VERSION "\n");
	case OPTIONS_BAD:
		fail(EXIT_BAD_INPUT, "%s", error.text);
	case OPTIONS_RUN:
		break;
	}
	if (!machine_plan_make(&m->plan, &m->config, &error))
		fail(EXIT_BAD_INPUT, "%s", error.text);
	machine_keep_descriptors(m);
}

/* What needs no VM, each for whichever thread comes first. */
static void (*const shared_stages[SHARED_STAGES])(struct machine *m) = {
	machine_open_images, machine_open_taps,  machine_open_vsock,
	machine_open_ring,   machine_load_guest,
};

static void take_stage(struct machine *m, unsigned i)
{
	if (atomic_flag_test_and_set(&m->set_up.taken[i]))
		return;
	shared_stages[i](m);
	if (atomic_fetch_add(&m->set_up.n_done, 1) + 1 == SHARED_STAGES)
		sem_post(&m->set_up.share_done);
}

static void run(struct machine *m)
{
	while (exit_request_status(&m->exit) == EXIT_REQUEST_NONE) {
		int error = ring_wait(&m->ring);
		if (error < 0 && exit_request_post(&m->exit, EXIT_MONITOR_FAILED))
			warn("io_uring: %s", strerror(-error));
	}
}

static bool finish_disks(struct machine *m)
{
	return disks_finish(m->disks, m->config.n_disks, &m->ring, &disk_limits,
			    &m->signals.received);
}

static uint64_t finish_console(struct machine *m)
{
	if (m->config.serial == SERIAL_NONE)
		return 0;
	return console_finish(&m->console, &console_limits, &m->signals.received);
}

static int exit_status(const struct machine *m, bool flushed)
{
	int status = exit_request_status(&m->exit);

	return status == EXIT_GUEST_ENDED && !flushed ? EXIT_MONITOR_FAILED : status;
}

static bool vm_is_created(const struct machine *m)
{
	return boot_timer_reached(&m->timer, BOOT_VM_CREATED);
}

/* Where KVM_CREATE_VM returns at once the main thread does better alone: two threads that map memory and make a VM
 * wait for each other. */
static void wait_a_moment_for_vm(struct machine *m)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_nsec += PATIENCE_NS;
	end.tv_sec += end.tv_nsec / 1000000000;
	end.tv_nsec %= 1000000000;
	sem_timedwait(&m->set_up.vm_created, &end);
}

/* The second thread: of the set-up what the first does not come to, then the event loop, and the end. */
static _Noreturn void *second_thread(void *argument)
{
	struct machine *m = argument;

	prctl(PR_SET_NAME, "vmm-events");
	wait_a_moment_for_vm(m);
	for (unsigned i = 0; i < SHARED_STAGES && !vm_is_created(m); i++)
		take_stage(m, i);
	fail_clear();
	machine_warm_memory(m);
	signals_wait_for(&m->set_up.guest_ready);
	machine_start_devices(m);
	run(m);
	machine_stop_vcpus(m);
	machine_close_queues(m);
	int status = exit_status(m, finish_disks(m));
	status_report_send(status, finish_console(m), NULL);
	machine_detach_devices(m);
	machine_leave_vm(m);
	/* Not the end of this thread: that would wait for requests of a disk that hangs. */
	exit(status);
}

static void start_second_thread(struct machine *m)
{
	pthread_t second;

	sem_init(&m->set_up.vm_created, 0, 0);
	sem_init(&m->set_up.share_done, 0, 0);
	sem_init(&m->set_up.guest_ready, 0, 0);
	errno = pthread_create(&second, NULL, second_thread, m);
	if (errno != 0)
		fail_errno(EXIT_HOST_REFUSED, "cannot start a second thread");
	fail_behind();
}

static void make_vm(struct machine *m)
{
	machine_open_kvm(m);
	machine_create_vm(m);
	sem_post(&m->set_up.vm_created);
	for (unsigned i = 0; i < SHARED_STAGES; i++)
		take_stage(m, i);
	machine_learn_cpuid(m);
	signals_wait_for(&m->set_up.share_done);
	machine_create_irqchip(m);
	machine_create_vcpus(m);
	machine_attach_devices(m);
	machine_close_set_up(m);
}

/* The guest's kicks, signals and bytes wait in their descriptors until the event loop takes them. */
static void run_first_vcpu(struct machine *m)
{
	vcpu_set_entry(&m->vcpus[0], m->kernel.entry_gpa);
	vcpu_adopt_thread(&m->vcpus[0]);
	machine_start_vcpus(m);
	sem_post(&m->set_up.guest_ready);
	vcpu_run(&m->vcpus[0]);
}

int main(int argc, char **argv)
{
	struct machine *m = &machine;

	signals_block();
	boot_timer_start(&m->timer);
	/* Its first use would have the host clear 2 MiB, where huge pages are the rule; most of it is pools. */
	madvise(m, sizeof(*m), MADV_NOHUGEPAGE);
	open_status_report(argc, argv);
	file_reserve_stdio();
	read_options(m, argc, argv);
	if (m->config.vsock.guest_cid != 0)
		file_reserve_descriptors(OWN_DESCRIPTORS + VSOCK_MAX_CONNECTIONS);
	machine_map_memory(m);
	start_second_thread(m);
	make_vm(m);
	run_first_vcpu(m);
	for (;;)
		pause(); /* the second thread ends the process */
}
