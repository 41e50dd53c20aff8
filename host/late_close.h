/* SPDX-License-Identifier: MIT */
/* Closing a VM without waiting until the host has destroyed it. */
#ifndef HOST_LATE_CLOSE_H
#define HOST_LATE_CLOSE_H

/* At most so many VMs of a host are destroyed late at a time. */
#define LATE_CLOSE_MAX 8

/* Learns whether it may be done here. With one thread: while another makes a VM, the kernel may tell nobody's cgroup for
 * milliseconds. */
void late_close_ask(void);

/* Makes what late_close() needs and cannot make any more, on the thread that calls it. */
void late_close_prepare(void);

/* Closes `vm_fd`, at the very end. Destroying a VM takes the host tens of milliseconds of RCU and SRCU grace periods, which
 * close(), or the exit of the process, waits for; so it is left to a worker of the kernel, after the process. Not so
 * - when LATE_CLOSE_MAX VMs wait for that worker, which takes one after the other, and all files of the host that are
 *   released late behind them: then the process does its share itself;
 * - where KVM keeps a thread in our cgroup while the VM exists (Linux before 6.13), unless that is the root: its creator
 *   wants to remove the cgroup once we have ended;
 * - where the host refuses another io_uring. */
void late_close(int vm_fd);

#endif
