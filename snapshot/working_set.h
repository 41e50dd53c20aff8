/* SPDX-License-Identifier: MIT */
/* The pages that a vCPU touches first when it goes on, as its registers tell: of memory that is mapped from a file. */
#ifndef SNAPSHOT_WORKING_SET_H
#define SNAPSHOT_WORKING_SET_H

#include "cpu/vcpu_state.h"
#include "mem/guest_memory.h"

/* Makes them present in the host's page tables, those that will be written with a copy of their own. Neither state nor memory need
 * make any sense. Any thread. */
void working_set_populate(const struct guest_memory *memory, const struct vcpu_state *state,
			  const struct vcpu_msrs *msrs);

#endif
