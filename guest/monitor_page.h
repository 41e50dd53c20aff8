/* SPDX-License-Identifier: MIT */
/* What init tells the monitor, and hears from it, through the page that docs/guest.md describes. */
#ifndef GUEST_MONITOR_PAGE_H
#define GUEST_MONITOR_PAGE_H

/* Writes the byte by which a monitor measures the boot. */
void boot_timer_fire(void);

/*
 * Asks the monitor for a snapshot. Each clone goes on behind the write; so does this machine, where the
 * monitor takes none. In a clone no other program runs before it has random numbers of its own and its clock is set.
 */
void snapshot_take(void);

#endif
