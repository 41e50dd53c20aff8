/* SPDX-License-Identifier: MIT */
/* Requests to a VM that runs: what each line of the control socket does. docs/launcher.md documents them. */
#ifndef MACHINE_CONTROL_H
#define MACHINE_CONTROL_H

#include "machine/machine.h"

/* Needs no VM; on either thread. Does not return on failure. */
void machine_open_control(struct machine *m);

/* Before ring_start(); the vCPUs are made and have not started. */
void machine_attach_control(struct machine *m);

/* On the ring's thread, after ring_start(). */
void machine_start_control(struct machine *m);

/* A paused guest's vCPUs can be stopped for good. */
void machine_stop_control(struct machine *m);

/* After ring_close(). */
void machine_detach_control(struct machine *m);

/* Asks the guest to end, in each way that it listens to: bits of enum ask_way, 0 if there is none. */
enum ask_way {
	ASK_POWER_BUTTON = 1, /* ACPI's */
	ASK_SERIAL_RING = 2,  /* the serial port's ring indicator */
};
unsigned machine_ask_guest(struct machine *m);

#endif
