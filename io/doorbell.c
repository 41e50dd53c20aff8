/* SPDX-License-Identifier: MIT */
#include "io/doorbell.h"

#include <linux/kvm.h>

#include "host/ioctl.h"

static void ring_bell(struct event *event)
{
	struct doorbell *doorbell = (struct doorbell *)event;

	doorbell->kicked(doorbell->device, doorbell->value);
}

void doorbell_connect(const struct doorbell *doorbell, int vm_fd, uint64_t gpa)
{
	struct kvm_ioeventfd request = {
		.datamatch = doorbell->value,
		.addr = gpa,
		.len = sizeof(uint32_t),
		.fd = doorbell->event.fd,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};

	host_ioctl(vm_fd, KVM_IOEVENTFD, &request);
}

void doorbell_open(struct doorbell *doorbell, struct ring *ring, uint32_t value,
		   doorbell_fn *kicked, void *device)
{
	*doorbell = (struct doorbell){ .kicked = kicked, .device = device, .value = value };
	event_open(&doorbell->event, ring, "a doorbell's", ring_bell);
}

void doorbell_start(struct doorbell *doorbell)
{
	event_start(&doorbell->event);
}

void doorbell_close(struct doorbell *doorbell)
{
	event_close(&doorbell->event);
}
