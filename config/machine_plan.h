/* SPDX-License-Identifier: MIT */
/* Assigns every device its window and GSI, and writes the kernel command line. Pure code. */
#ifndef CONFIG_MACHINE_PLAN_H
#define CONFIG_MACHINE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "config/vm_config.h"
#include "mem/layout.h"

/* Linux on x86 keeps COMMAND_LINE_SIZE bytes, with the terminating zero. */
#define CMDLINE_MAX_BYTES 2048

#define MAX_VIRTIO (MAX_DISKS + 3) /* one GSI each, 5 to 23 */

struct machine_plan {
	unsigned n_virtio;
	/* Disks, then network interfaces, each in the order of vm_config, then the vsock. */
	struct device_window virtio[MAX_VIRTIO];
	char cmdline[CMDLINE_MAX_BYTES]; /* empty: the guest is a snapshot's, and has its own */
};

/* The command line is: default words, root=, devices' words, the user's. False: it does not fit in
 * CMDLINE_MAX_BYTES, or there are more devices than GSIs. */
bool machine_plan_make(struct machine_plan *plan, const struct vm_config *config,
		       struct error_text *error);

#endif
