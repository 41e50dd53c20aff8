/* SPDX-License-Identifier: MIT */
/* The sections of the devices: the console, then each disk, interface and the vsock with its transport. */
#ifndef MACHINE_SNAPSHOT_DEVICES_H
#define MACHINE_SNAPSHOT_DEVICES_H

#include "machine/machine.h"

/* At rest, on the ring's thread. */
void machine_save_devices(const struct machine *m, struct snapshot_writer *writer);

/* When interrupts reach the guest. False: *error says why. */
bool machine_load_devices(struct machine *m, struct snapshot_file *file, struct error_text *error);

#endif
