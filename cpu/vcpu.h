/* SPDX-License-Identifier: MIT */
/* A virtual CPU: its descriptor, its thread and its KVM_RUN loop. */
#ifndef CPU_VCPU_H
#define CPU_VCPU_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/cpuid.h"
#include "host/counters.h"
#include "host/exit_request.h"
#include "io/boot_timer.h"
#include "io/bus.h"

struct gate;

/* Shared by all vCPUs of a VM. */
struct vcpu_machine {
	const struct bus *ports, *mmio;
	struct exit_request *exit;
	struct boot_timer *timer;
	struct gate *gate; /* NULL: none */
	bool is_rehearsal; /* nothing of it is told to anyone */
	sem_t *order;      /* the threads of all but the first vCPU begin by it; NULL: at once */
	sem_t *confined;   /* nothing is done for the guest before it is open */
};

struct vcpu {
	unsigned index;
	int fd;
	struct kvm_run *run;
	size_t run_bytes;
	pthread_t thread;
	atomic_int thread_id; /* 0: it has not begun */
	bool started, has_own_thread;
	sem_t left; /* posted when it has left its loop */
	uint64_t exits[EXIT_KINDS];
	const struct vcpu_machine *machine;
};

/* KVM_CREATE_VCPU, the kvm_run map, CPUID. Sets *cpuid's APIC ids on the way. Does not return on failure (exit 122). */
void vcpu_create(struct vcpu *vcpu, int kvm_fd, int vm_fd, unsigned index,
		 struct cpuid_table *cpuid, const struct vcpu_machine *machine);

/* MSRs and LAPIC, as a PC's firmware leaves them. Does not return on failure (exit 122). */
void vcpu_set_boot_state(struct vcpu *vcpu, struct cpuid_table *cpuid);

/* vCPU 0 only: starts it at entry_gpa. Does not return on failure (exit 122). */
void vcpu_set_entry(struct vcpu *vcpu, uint64_t entry_gpa);

/* Makes the calling thread the vCPU's, which can be stopped from now on. For the first vCPU, before others start. */
void vcpu_adopt_thread(struct vcpu *vcpu);
/* Does what KVM does at a vCPU's first KVM_RUN, on its thread, before it is confined; no instruction is executed. */
void vcpu_warm(const struct vcpu *vcpu);
/* On its thread: has KVM map guest memory that the host has, before the guest asks. False: this KVM does not (before Linux 6.11, or
 * with shadow pages), or there is no memory. */
bool vcpu_map_memory(const struct vcpu *vcpu, uint64_t gpa, uint64_t bytes);
/* Or starts the vCPU on a thread of its own, which inherits from the caller how it can be stopped. Does not return on
 * failure (exit 122). */
void vcpu_start(struct vcpu *vcpu);

/* Runs the vCPU on the calling thread until an exit request. An interruption brings it to the gate. */
void vcpu_run(struct vcpu *vcpu);

/* Gets a started vCPU out of KVM_RUN, or keeps it from entering. Any thread. */
void vcpu_interrupt(const struct vcpu *vcpu);

/* Only keeps it from entering. Any thread. */
void vcpu_hold(const struct vcpu *vcpu);

/* After an exit request: gets the vCPU out of KVM_RUN and waits until it has left its loop. Called by another
 * thread. */
void vcpu_stop(struct vcpu *vcpu);

void vcpu_close(struct vcpu *vcpu);

#endif
