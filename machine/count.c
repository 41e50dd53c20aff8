/* SPDX-License-Identifier: MIT */
/* The counters of a VM, from where each is counted. */
#include <assert.h>

#include "host/event_line.h"
#include "machine/machine.h"

static_assert(COUNTERS_MAX_DEVICES >= MAX_VIRTIO, "a snapshot holds every device");

static void count_device(struct counters *counters, const char *kind, unsigned index,
			 const struct virtio_device *device)
{
	counters->devices[counters->n_devices].kind = kind;
	counters->devices[counters->n_devices].index = index;
	counters->devices[counters->n_devices++].count = device->count;
}

static void count_devices(const struct machine *m, struct counters *counters)
{
	for (unsigned i = 0; i < m->config.n_disks; i++) {
		count_device(counters, "disk", i, &m->disks[i].block.device);
		counters->unflushed_disks += block_is_unflushed(&m->disks[i].block);
	}
	for (unsigned i = 0; i < m->config.n_nets; i++)
		count_device(counters, "net", i, &m->nics[i].net.device);
	if (m->config.vsock.guest_cid != 0)
		count_device(counters, "vsock", 0, &m->vsock.vsock.device);
}

void machine_count(const struct machine *m, struct counters *counters)
{
	*counters = (struct counters){ .lost_events = event_line_lost() };
	for (unsigned i = 0; i < m->config.n_cpus; i++)
		for (unsigned kind = 0; kind < EXIT_KINDS; kind++)
			counters->exits[kind] += counter_read(&m->vcpus[i].exits[kind]);
	if (m->config.serial != SERIAL_NONE) {
		counters->console_in_bytes = counter_read(&m->console.serial.in_bytes);
		counters->console_out_bytes = counter_read(&m->console.serial.out_bytes);
		counters->lost_output_bytes = console_lost_bytes(&m->console);
	}
	count_devices(m, counters);
}
