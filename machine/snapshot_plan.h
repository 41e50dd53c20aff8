/* SPDX-License-Identifier: MIT */
/* The header of a snapshot's file: what it tells of a machine and its host, and whether a clone has the same. */
#ifndef MACHINE_SNAPSHOT_PLAN_H
#define MACHINE_SNAPSHOT_PLAN_H

#include "machine/machine.h"

/* What the header tells of the host, while KVM can be asked, when the vCPUs are made; of the machine. */
void machine_describe_host(struct machine *m);
void machine_describe(const struct machine *m, struct snapshot_header *header);
/* Before anything is made: takes memory, vCPUs and the like from the header, and compares the devices. After that: what is only
 * known when images are open, and KVM has told of the CPU. None returns on failure. */
void machine_adopt_plan(struct machine *m);
void machine_check_host(const struct machine *m);

#endif
