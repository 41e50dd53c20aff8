/* SPDX-License-Identifier: MIT */
/* When each phase of the boot was reached, in microseconds since exec. */
#ifndef IO_BOOT_TIMER_H
#define IO_BOOT_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "io/bus.h"
#include "io/identity.h"

enum boot_phase {
	BOOT_PROCESS_START,
	BOOT_VM_CREATED,
	BOOT_KERNEL_LOADED,
	BOOT_FIRST_KVM_RUN,
	BOOT_USERSPACE,
	BOOT_PHASES,
};

struct boot_timer {
	int64_t exec_ns;                       /* CLOCK_MONOTONIC at exec, see boot_timer_start() */
	_Atomic int64_t phase_ns[BOOT_PHASES]; /* since exec_ns; 0: not reached */
	bool report;
	struct identity identity;        /* on the same page */
	void (*snapshot)(void *context); /* the guest asks for one; NULL: it cannot */
	void *context;
};

/* The first act of main(). exec is taken to be as long ago as this process has used the CPU: a
 * launcher that forks and execs sees the time since its fork. */
void boot_timer_start(struct boot_timer *timer);

/* Records the phase's first time; returns whether this was it. Any thread. */
bool boot_timer_mark(struct boot_timer *timer, enum boot_phase phase);

/* The register: the guest writes the byte 123 to LAYOUT_BOOT_TIMER_GPA when its userspace runs, and
 * the first time one line goes to stderr, if `report`. The byte 124 calls timer->snapshot(), on the vCPU's thread. */
void boot_timer_attach(struct boot_timer *timer, struct bus *mmio, bool report);

#endif
