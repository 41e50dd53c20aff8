/* SPDX-License-Identifier: MIT */
/*
 * The whole machine, and the stages in which two threads make it (set_up.c), run it and end it (vmm.c). Each field
 * belongs to the thread that makes it, until a semaphore hands it over.
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "boot/kernel_image.h"
#include "config/descriptors.h"
#include "config/machine_plan.h"
#include "config/options.h"
#include "cpu/cpuid.h"
#include "cpu/vcpu.h"
#include "host/control_socket.h"
#include "host/counters.h"
#include "host/exit_request.h"
#include "host/file.h"
#include "host/frame_socket.h"
#include "host/listen_socket.h"
#include "host/ring.h"
#include "host/signal_events.h"
#include "host/tap.h"
#include "io/boot_timer.h"
#include "io/bus.h"
#include "io/console.h"
#include "machine/pause.h"
#include "machine/snapshot_state.h"
#include "mem/guest_memory.h"
#include "mem/page.h"
#include "virtio-mmio/disks.h"
#include "virtio-mmio/net.h"
#include "virtio-mmio/transport.h"
#include "virtio-mmio/vsock/vsock.h"

/* As virtio-mmio/disks.h has a disk: what the host has, which is opened and closed here; the device; its registers. */
struct nic {
	struct tap tap; /* one of both; the other is closed */
	struct frame_socket stream;
	const char *name;
	char fd_name[16];
	struct virtio_transport transport;
	struct net net;
};

struct vsock_port {
	struct listen_socket listener;
	struct virtio_transport transport;
	struct vsock vsock;
};

/* Static: it lives as long as the process, and its pools are only touched when they are used. */
struct machine {
	struct vm_config config;
	struct machine_plan plan;
	struct descriptors descriptors;
	struct boot_timer timer;
	int kvm_fd, vm_fd;
	struct guest_memory memory;
	struct input_file kernel_file;
	struct kernel_image kernel;
	struct exit_request exit;
	struct ring ring;
	struct signal_events signals;
	struct control_socket control;
	struct pause pause; /* where there is a control socket, or a snapshot may be taken */
	struct snapshot snapshot;
	struct bus ports, mmio;
	struct vcpu_machine vcpu_machine;
	sem_t confined;   /* open when the event loop's thread is */
	bool stands_back; /* that thread, until the order has come */
	struct vcpu vcpus[MAX_CPUS];
	/* What is used of it is in one page. */
	struct cpuid_table cpuid __attribute__((aligned(PAGE_BYTES)));
	struct console console;
	struct disk disks[MAX_DISKS];
	atomic_bool devices_run; /* the set-up is over */
	struct nic nics[MAX_NETS];
	struct vsock_port vsock;
};

/* A stage of the set-up that fails prints one line and exits: 121 for the user's mistake, 122 for the host's refusal. */

/* vm.c, on the main thread. */
void machine_map_memory(struct machine *m); /* address space for the guest */
void machine_open_kvm(struct machine *m);
void machine_create_vm(struct machine *m);
void machine_learn_cpuid(struct machine *m);
void machine_create_irqchip(struct machine *m);   /* and the memory slots, which come before */
void machine_check_cpus(const struct machine *m); /* against what KVM allows */
void machine_create_vcpus(struct machine *m);
void machine_close_kvm(const struct machine *m);
/* The second thread: kernel, initrd, and the descriptors that paths named. */
void machine_close_set_up(struct machine *m);
/* All but the first, which gets the calling thread and the kernel's entry. */
void machine_start_vcpus(struct machine *m);

/* confine.c: how many descriptors the machine may need. */
unsigned machine_descriptors(const struct machine *m);
/* Whether it connects to sockets at paths while the guest runs. */
bool machine_connects(const struct machine *m);
/* With one thread: says if the user wants no sandbox. */
void machine_prepare_sandbox(const struct machine *m);
/* The second thread, when all is open; and when nothing is left to do but to serve. */
void machine_give_up_event_loop_files(const struct machine *m);
void machine_confine_event_loop(struct machine *m);
/* The same, when the guest runs: it has waited for that behind the vCPUs' threads. */
void machine_step_forward(const struct machine *m);
/* The main one, when all is open. */
void machine_give_up_vcpu_files(void);
/* The main one, when it has given up its files; starts the other vCPUs, too. */
void machine_confine_vcpus(struct machine *m);
void machine_confine_first_vcpu(const struct machine *m);
/* With one thread: the same for --check. */
void machine_try_sandbox(struct machine *m);

/* inputs.c, with one thread and nothing open yet: checks the descriptors that the command line names, and closes
 * every other inherited one but the standard three. */
void machine_keep_descriptors(struct machine *m);
/* With one thread, when no other process's copy of it is open here. Ends the process if it has ended. */
void machine_adopt_lifeline(const struct machine *m);

/* nics.c, as what follows: needs no VM; on either thread. */
void machine_open_nets(struct machine *m);
/* inputs.c */
void machine_open_images(struct machine *m);
void machine_open_vsock(struct machine *m);
void machine_check_serial_file(
	const struct machine *m); /* refuses a file that the guest has or is loaded from */
void machine_open_kernel(
	struct machine *m); /* but for an inherited descriptor, which may be a slow pipe */
void machine_load(struct machine *m); /* kernel, initrd, boot tables; or a snapshot */
/* Second thread, while the host makes the VM. */
void machine_warm_memory(struct machine *m, const atomic_bool *vm_created);

/* devices.c: with one thread, what needs neither VM nor ring. */
void machine_attach_ports(struct machine *m);
/* What follows on the second thread, whose ring it is. */
void machine_open_event_loop(struct machine *m);
/* When all is open: there may be no VM yet. */
void machine_attach_devices(struct machine *m);
void machine_start_ring(struct machine *m);
void machine_start_devices(struct machine *m);
void machine_detach_devices(struct machine *m);

/* rest.c: the vCPUs have stopped: no new requests. */
void machine_stop_queues(struct machine *m);

/* finish.c, on the second thread: flushes the disks, writes the guest's output out, and reports the exit status, which
 * it returns. */
int machine_finish_devices(struct machine *m);

/* count.c, on the second thread while the guest runs and at its end: what the VM has done so far. */
void machine_count(const struct machine *m, struct counters *counters);

/* check.c: prints on stdout what the guest would find, once the stages that need no VM are over. */
void machine_print(const struct machine *m);

/* vm.c, at the end, on the second thread. */
void machine_stop_vcpus(struct machine *m);
void machine_leave_vm(struct machine *m); /* the host destroys it after the process */

#endif
