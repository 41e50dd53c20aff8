/* SPDX-License-Identifier: MIT */
#include "machine/set_up.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "host/event_line.h"
#include "host/fail.h"
#include "host/late_close.h"
#include "host/signals.h"
#include "machine/control.h"
#include "machine/restore.h"
#include "machine/snapshot.h"
#include "machine/snapshot_plan.h"

#define PATIENCE_NS     300000
#define LONG_LOAD_BYTES (8u << 20)

/* Need no VM; each for whichever thread comes first. */
static void (*const shared_stages[])(struct machine *m) = {
	machine_open_images,  machine_open_nets, machine_open_vsock,
	machine_open_control, machine_load,
};
#define SHARED_STAGES (sizeof(shared_stages) / sizeof(shared_stages[0]))

/* Where the program is written to anyway: one page less. */
static __attribute__((section(".data"))) struct {
	int (*serve)(struct machine *m);
	atomic_uint next; /* the stage that nobody has taken */
	atomic_uint n_done;
	atomic_bool vm_created;
	sem_t patience_ends; /* main: the VM is created */
	sem_t all_open;      /* whoever has done the last stage, once for each thread */
	sem_t devices_next;  /* main, with --restore: its part of the snapshot is read */
	sem_t guest_ready;   /* main */
	sem_t never;
} set_up;

/* False: none is left. */
static bool take_stage(struct machine *m)
{
	unsigned i = atomic_fetch_add(&set_up.next, 1);

	if (i >= SHARED_STAGES)
		return false;
	shared_stages[i](m);
	if (atomic_fetch_add(&set_up.n_done, 1) + 1 == SHARED_STAGES) {
		sem_post(&set_up.all_open);
		sem_post(&set_up.all_open);
	}
	return true;
}

/* One that the main thread has yet to finish may fail, and counts then. */
static void wait_for_stages(void)
{
	if (sem_trywait(&set_up.all_open) == 0)
		return;
	fail_clear();
	signals_wait_past(&set_up.all_open);
}

static _Noreturn void *second_thread(void *argument)
{
	struct machine *m = argument;

	prctl(PR_SET_NAME, "vmm-events");
	/* Where KVM_CREATE_VM returns at once the main thread does better alone: two threads that map memory and make
	 * a VM wait for each other. A large kernel takes longer to load than that. */
	if (m->kernel_file.bytes < LONG_LOAD_BYTES)
		signals_wait_within(&set_up.patience_ends, PATIENCE_NS);
	while (!atomic_load(&set_up.vm_created) && take_stage(m))
		;
	machine_open_event_loop(m);
	wait_for_stages();
	machine_attach_devices(m);
	machine_start_ring(m);
	fail_clear();
	machine_give_up_event_loop_files(m);
	machine_warm_memory(m, &set_up.vm_created);
	if (m->config.restore.text != NULL) {
		signals_wait_past(&set_up.devices_next);
		machine_restore_devices(m);
	}
	machine_close_set_up(m);
	machine_confine_event_loop(m);
	sem_post(&m->confined);
	/* The first signal is taken by the event loop. */
	signals_wait_past(&set_up.guest_ready);
	machine_step_forward(m);
	fail_if_inherited();
	event_line_emit("started");
	if (m->config.start_fd >= 0)
		close(m->config.start_fd);
	/* Not the end of this thread: that would wait for requests of a disk that hangs. */
	exit(set_up.serve(m));
}

static void start_second_thread(struct machine *m)
{
	pthread_t second;

	sem_init(&set_up.patience_ends, 0, 0);
	sem_init(&set_up.all_open, 0, 0);
	sem_init(&set_up.devices_next, 0, 0);
	sem_init(&set_up.guest_ready, 0, 0);
	sem_init(&m->confined, 0, 0);
	errno = pthread_create(&second, NULL, second_thread, m);
	if (errno != 0)
		fail_errno(EXIT_HOST_REFUSED, "cannot start a second thread");
	fail_behind();
}

static void create_vm(struct machine *m)
{
	machine_open_kvm(m);
	machine_create_vm(m);
	atomic_store(&set_up.vm_created, true);
	sem_post(&set_up.patience_ends);
}

void set_up_machine(struct machine *m, int (*serve)(struct machine *m))
{
	set_up.serve = serve;
	machine_open_snapshot_folder(m);
	machine_map_memory(m);
	machine_open_kernel(m);
	machine_attach_ports(m);
	late_close_ask();
	start_second_thread(m);
	create_vm(m);
	while (take_stage(m))
		;
	machine_learn_cpuid(m);
	signals_wait_for(&set_up.all_open);
	machine_create_irqchip(m);
	machine_create_vcpus(m);
	machine_describe_host(m);
	if (m->config.restore.text != NULL) {
		machine_restore(m);
		sem_post(&set_up.devices_next);
	}
	machine_close_kvm(m);
	machine_give_up_vcpu_files();
	fail_by_heir(&set_up.guest_ready); /* it is confined as a vCPU's before all is done */
	machine_confine_vcpus(m);
	sem_post(&set_up.guest_ready);
	machine_confine_first_vcpu(m); /* while the event loop starts the devices */
}

void set_up_try(struct machine *m)
{
	machine_open_snapshot_folder(m);
	machine_map_memory(m);
	machine_open_kernel(m);
	while (take_stage(m))
		;
	machine_open_event_loop(m);
	machine_open_kvm(m);
	machine_check_cpus(m);
	if (m->config.serial == SERIAL_FILE)
		machine_check_serial_file(m);
	machine_try_sandbox(m);
}

void set_up_wait_for_end(void)
{
	for (;;)
		sem_wait(&set_up.never);
}
