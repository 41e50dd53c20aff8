/* SPDX-License-Identifier: MIT */
/* The system calls that each kind of thread may use once the guest can run: the filters are tables in seccomp.c. */
#ifndef HOST_SECCOMP_H
#define HOST_SECCOMP_H

#include <fcntl.h>
#include <stdbool.h>

/* The only flags of openat() there, as the system call has them. */
#define SECCOMP_OPEN_UNNAMED (O_TMPFILE | O_WRONLY | O_CLOEXEC | 0100000 /* O_LARGEFILE */)

enum seccomp_thread {
	SECCOMP_VCPU,
	SECCOMP_EVENT_LOOP,
	SECCOMP_EVENT_LOOP_SOCKETS,   /* with connections of the guest's, or a socket at a path */
	SECCOMP_EVENT_LOOP_SNAPSHOTS, /* which may read the whole machine, and make a file */
	SECCOMP_EVENT_LOOP_SOCKETS_SNAPSHOTS,
	SECCOMP_VCPU_WAITING, /* for the order of --start-fd: starts clocks then, or ends the process */
};

/* For the calling thread, for good. It needs no_new_privs. Any other call than those of the table raises SIGSYS, which
 * tells its number on stderr and ends the process. False with errno. */
bool seccomp_enter(enum seccomp_thread thread);

/* Once, before the first seccomp_enter(): what SIGSYS does. */
void seccomp_prepare(void);

#endif
