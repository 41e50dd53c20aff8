/* SPDX-License-Identifier: MIT */
/*
 * Stops and continues the guest: each vCPU leaves KVM_RUN, with its instruction finished, and waits at the gate.
 *
 * Devices go on: they finish what the guest has given them, and take what comes from outside as long as the guest has
 * made room for it. Interrupts wait in KVM. All calls are the ring's thread's.
 */
#ifndef MACHINE_PAUSE_H
#define MACHINE_PAUSE_H

#include <stdbool.h>

#include "cpu/vcpu.h"
#include "host/event.h"
#include "host/gate.h"

enum pause_state {
	PAUSE_RUNNING,
	PAUSE_STOPPING, /* some vCPU is still on its way */
	PAUSE_STOPPED,
};

struct pause {
	struct gate gate;
	struct event all_wait;
	enum pause_state state;
	struct vcpu *vcpus;
	unsigned n_vcpus;
	void (*stopped)(
		void *context); /* called once for a pause_begin(): STOPPING has become STOPPED */
	void *context;
};

/* Before ring_start(). The vCPUs get &pause->gate before they start. Does not return on failure (exit 122). */
void pause_open(struct pause *pause, struct vcpu *vcpus, unsigned n_vcpus, struct ring *ring,
		void (*stopped)(void *context), void *context);

/* After ring_start(). */
void pause_start(struct pause *pause);

/* stopped() follows, unless pause_end() comes first. No effect while it is not RUNNING. */
void pause_begin(struct pause *pause);

/* The guest runs on; a kernel with KVM's clock is told that it has stood still. No effect while it is
 * RUNNING. */
void pause_end(struct pause *pause);

/* A vCPU's thread, in an exit: none of them begins another KVM_RUN until the ring's thread has called pause_begin() and
 * pause_end(), which must follow. Those that are in one stay there. */
void pause_close_gate(struct pause *pause);

/* The vCPUs are about to be stopped for good: nothing holds them any more, whoever closes the gate from now on. */
void pause_end_for_good(struct pause *pause);

void pause_close(struct pause *pause);

#endif
