/* SPDX-License-Identifier: MIT */
/*
 * The set-up, by two threads.
 *
 * KVM_CREATE_VM waits for milliseconds on many hosts. When it has taken 0.3 ms a second thread takes, one by one, the
 * stages that need no VM; the main thread takes what is left once there is a VM: all of it where KVM_CREATE_VM returns
 * at once. Then the main thread makes what KVM has, and becomes the first vCPU's; the second makes what the ring serves
 * meanwhile, and becomes the event loop's.
 */
#ifndef MACHINE_SET_UP_H
#define MACHINE_SET_UP_H

#include "machine/machine.h"

/* Makes the machine that the options describe. On return all vCPUs but the first have their threads; that one stands at
 * the kernel's entry, for the caller to run, which does nothing for the guest before the second thread has all attached and is
 * confined. That then calls serve(m). Once a process. Does not return on failure. */
void set_up_machine(struct machine *m, int (*serve)(struct machine *m));

/* Instead of all that: the stages that need no VM, on this thread. Does not return on failure. */
void set_up_try(struct machine *m);

/* Waits for the end of serve(m), whose result is the exit status of the process. Does not return: the second thread calls
 * exit(), so that nobody waits until this one has a CPU. */
_Noreturn void set_up_wait_for_end(void);

#endif
