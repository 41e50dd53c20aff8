/* SPDX-License-Identifier: MIT */
#include "machine/pause.h"

#include "host/container_of.h"

static void all_wait(struct event *event)
{
	struct pause *pause = container_of(event, struct pause, all_wait);

	/* One that waited for the console may have left that since, and comes to the gate yet. */
	if (pause->state != PAUSE_STOPPING || !gate_holds_all(&pause->gate))
		return;
	pause->state = PAUSE_STOPPED;
	pause->stopped(pause->context);
}

void pause_open(struct pause *pause, struct vcpu *vcpus, unsigned n_vcpus, struct ring *ring,
		void (*stopped)(void *context), void *context)
{
	*pause = (struct pause){
		.vcpus = vcpus,
		.n_vcpus = n_vcpus,
		.stopped = stopped,
		.context = context,
	};
	event_open(&pause->all_wait, ring, "the pause's", all_wait);
	gate_init(&pause->gate, n_vcpus, pause->all_wait.fd);
}

void pause_start(struct pause *pause)
{
	event_start(&pause->all_wait);
}

void pause_begin(struct pause *pause)
{
	if (pause->state != PAUSE_RUNNING)
		return;
	pause->state = PAUSE_STOPPING;
	gate_close(&pause->gate);
	for (unsigned i = 0; i < pause->n_vcpus; i++)
		vcpu_interrupt(&pause->vcpus[i]);
}

void pause_close_gate(struct pause *pause)
{
	gate_close(&pause->gate);
	for (unsigned i = 0; i < pause->n_vcpus; i++)
		vcpu_hold(&pause->vcpus[i]);
}

void pause_end(struct pause *pause)
{
	if (pause->state == PAUSE_RUNNING)
		return;
	pause->state = PAUSE_RUNNING;
	gate_open(&pause->gate);
}

void pause_end_for_good(struct pause *pause)
{
	/* RUNNING says nothing of the gate: a vCPU may have closed it. */
	pause->state = PAUSE_RUNNING;
	gate_remove(&pause->gate);
}

void pause_close(struct pause *pause)
{
	event_close(&pause->all_wait);
}
