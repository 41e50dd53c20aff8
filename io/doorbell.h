/* SPDX-License-Identifier: MIT */
/* A guest's kick without an exit to the vCPU's thread: KVM turns the write into a signal of an event
 * (KVM_IOEVENTFD). */
#ifndef IO_DOORBELL_H
#define IO_DOORBELL_H

#include <stdint.h>

#include "host/event.h"

typedef void doorbell_fn(void *device, uint32_t value);

struct doorbell {
	struct event event; /* first: the callback finds the doorbell by it */
	doorbell_fn *kicked;
	void *device;
	uint32_t value;
};

/* Calls kicked(device, value) on the ring's thread after its event has been signalled, once for any number of signals in
 * between. Before ring_start(). Does not return on failure (exit 122). */
void doorbell_open(struct doorbell *doorbell, struct ring *ring, uint32_t value,
		   doorbell_fn *kicked, void *device);

/* From here on KVM signals it when the guest writes the 32-bit `value` to gpa. Any time, any thread; for several gpas.
 * Where KVM refuses, nothing happens. */
void doorbell_connect(const struct doorbell *doorbell, int vm_fd, uint64_t gpa);

/* Starts listening: after ring_start(). */
void doorbell_start(struct doorbell *doorbell);

void doorbell_close(struct doorbell *doorbell);

#endif
