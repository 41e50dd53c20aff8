/* SPDX-License-Identifier: MIT */
/* Snapshots of a VM that runs. docs/snapshot.md explains them. All is the ring's thread's once that runs. */
#ifndef MACHINE_SNAPSHOT_H
#define MACHINE_SNAPSHOT_H

#include "machine/machine.h"

/* With one thread: where --snapshot's file belongs. Does not return on failure. */
void machine_open_snapshot_folder(struct machine *m);

/* Before ring_start(), and after it. */
void machine_attach_snapshot(struct machine *m);
void machine_start_snapshot(struct machine *m);

/* A request of the control socket; name NULL: the file of --snapshot. It is answered when the snapshot is taken, or here, with
 * what is wrong. */
void machine_ask_snapshot(struct machine *m, struct control_client *client, const char *name,
			  bool goes_on);

/* Between two batches of the ring: takes the snapshot that is pending, once all vCPUs stand. */
void machine_take_snapshot(struct machine *m);

#endif
