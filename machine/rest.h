/* SPDX-License-Identifier: MIT */
/*
 * The devices at rest, between two instants of the guest: for a snapshot. On the ring's thread, but from none of its callbacks:
 * these calls wait on the ring.
 */
#ifndef MACHINE_REST_H
#define MACHINE_REST_H

#include <stdbool.h>

#include "boot/acpi.h"
#include "host/error.h"
#include "machine/machine.h"

/* All vCPUs wait at the pause's gate. No new request is taken; those in flight complete, and what was printed is written out.
 * After that nothing changes guest memory or a device until the ring runs again. False: it has not come about within REST_MS,
 * or the VM ends, or a disk cannot be saved; then machine_wake_devices() is due all the same. */
bool machine_rest_devices(struct machine *m, struct error_text *error);

/* The devices go on, as after a kick of each queue. Before the vCPUs do. */
void machine_wake_devices(struct machine *m);

/* Where there is ACPI: another generation id, of which the guest is told. */
void machine_set_generation_id(struct machine *m, const uint8_t id[ACPI_VMGENID_BYTES]);

/* In a restored machine, before its vCPUs run and the host's confinement: makes it another VM than the one that was saved, and
 * tells a guest with ACPI by its generation id. Guest memory and the interrupt chips are restored. */
bool machine_change_identity(struct machine *m, const struct identity_state *saved,
			     struct error_text *error);

#endif
