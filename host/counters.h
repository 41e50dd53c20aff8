/* SPDX-License-Identifier: MIT */
/* What a VM has done so far: exits of its vCPUs, work of its devices, and what was lost. */
#ifndef HOST_COUNTERS_H
#define HOST_COUNTERS_H

#include <stdint.h>

#include "host/json.h"

/* Why a vCPU left KVM_RUN. Kicks of virtio queues cause none. */
enum exit_kind {
	EXIT_TO_PORT,
	EXIT_TO_MMIO,
	EXIT_INTERRUPTED, /* by a signal, or KVM_RUN failed */
	EXIT_OTHER,
	EXIT_KINDS,
};

/* On the ring's thread. "In" is into the guest. */
struct device_counters {
	uint64_t requests, in_bytes, out_bytes, errors;
};

#define COUNTERS_MAX_DEVICES 19u /* MAX_VIRTIO */

/* A snapshot. */
struct counters {
	uint64_t exits[EXIT_KINDS];
	unsigned n_devices;
	struct {
		const char *kind; /* "disk", "net", "vsock" */
		unsigned index;   /* among its kind, from 0 */
		struct device_counters count;
	} devices[COUNTERS_MAX_DEVICES];
	uint64_t console_in_bytes, console_out_bytes;
	uint64_t lost_output_bytes, unflushed_disks, lost_events;
};

/* Adds to a counter that one thread changes, or several under one lock, and that others read without it: no locked
 * instruction, which the fast path would pay for. */
static inline void counter_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline uint64_t counter_read(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Adds the members "exits", "console", "devices" and "lost" to a line, which has room for the largest of all. */
void counters_add_to(const struct counters *counters, struct json *json);

#endif
