/* SPDX-License-Identifier: MIT */
/* A VM that goes on from a snapshot: stages of the set-up, on the main thread but for machine_load_snapshot(). */
#ifndef MACHINE_RESTORE_H
#define MACHINE_RESTORE_H

#include "machine/machine.h"

/* With one thread: reads the header of --restore's file, which decides what the machine is. Does not return on failure. */
void machine_open_snapshot(struct machine *m);

/* Instead of the kernel. Does not return on failure. */
void machine_load_snapshot(struct machine *m);

/* When that is done: makes pages present that the clone touches first, until *stop. What is wrong with the file shows later. */
void machine_warm_clone(const struct machine *m, const atomic_bool *stop);

/* After that, on the first vCPU's thread: has KVM map them. */
void machine_map_touched(const struct machine *m);

/* On the main thread, when there are vCPUs: everything but devices and time. Does not return on failure. */
void machine_restore(struct machine *m);

/* After that on the second thread, when all devices are attached. Does not return on failure. */
void machine_restore_devices(struct machine *m);

/* With --start-fd, when all is done but time: waits for its line, and ends the process with its end. Does not return on failure. */
void machine_await_order(struct machine *m);

/* When the guest is about to run: its clocks. Does not return on failure. */
void machine_start_clocks(const struct machine *m);

/* The same in a VM that has run, once its file's sections are mapped: finds there what belongs to time, and sets it. */
bool machine_find_clocks(struct machine *m, struct error_text *error);
bool machine_set_clocks(const struct machine *m, struct error_text *error);

#endif
