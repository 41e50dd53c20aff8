/* SPDX-License-Identifier: MIT */
/*
 * What a snapshot's clones touch first. The file has its name, and the VM is about to end: its vCPUs go on as a clone's would, from
 * that file's memory, for a moment, on buses that lead nowhere. What they touch is written behind the file's header.
 */
#ifndef MACHINE_REHEARSAL_H
#define MACHINE_REHEARSAL_H

#include "machine/machine.h"

/* On the ring's thread: devices are at rest, the gate holds all vCPUs, and an exit request is posted. fd can be read and written. The
 * guest has left its memory and state when this returns, and its vCPUs run no further. */
void machine_rehearse(struct machine *m, int fd, const struct snapshot_header *header);

#endif
