/* SPDX-License-Identifier: MIT */
/* What a machine keeps for snapshots of it, and of the one that it goes on from. */
#ifndef MACHINE_SNAPSHOT_STATE_H
#define MACHINE_SNAPSHOT_STATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "config/vm_config.h"
#include "cpu/msr_list.h"
#include "cpu/vcpu_state.h"
#include "host/control_socket.h"
#include "host/event.h"
#include "irq/irqchip_state.h"
#include "snapshot/file.h"

#define SNAPSHOT_NAME_BYTES 256

struct snapshot {
	struct event asked;      /* by the guest */
	int folder_fd, pages_fd; /* -1: none */
	int unnamed_fd;          /* for the one that ends the VM: it can be read, too; -1: none */
	int own_files_fd;        /* /proc/self/fd, which the event loop may not see any more */
	bool pending;            /* the vCPUs are on their way to the gate, or stand there */
	bool goes_on, was_paused;
	atomic_bool guest_refused; /* one that the guest asked for has failed: it asks in vain */
	struct control_client *client; /* NULL: the guest asked */
	char name[SNAPSHOT_NAME_BYTES];
	/* Where there are snapshots, made or restored. */
	struct msr_list msrs;
	struct snapshot_header host; /* what it tells of the host */
	size_t xsave_bytes;
	struct snapshot_file file;
	/* In the file: what the clocks need, when all else is done. */
	const struct irqchip_state *irqchip;
	const struct vcpu_state *cpus[MAX_CPUS];
};

#endif
