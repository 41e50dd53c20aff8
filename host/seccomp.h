/* SPDX-License-Identifier: MIT */
/* The system calls that each kind of thread may use once the guest can run: the filters come from one table in seccomp.c. */
#ifndef HOST_SECCOMP_H
#define HOST_SECCOMP_H

#include <fcntl.h>
#include <stdbool.h>

/* The only flags of openat() there, as the system call has them. */
#define SECCOMP_OPEN_UNNAMED (O_TMPFILE | O_WRONLY | O_CLOEXEC | 0100000 /* O_LARGEFILE */)

/* What a thread does: the event loop has a call only if one of its devices needs it. */
enum seccomp_use {
	SECCOMP_VCPU = 1,
	SECCOMP_EVENT_LOOP = 2,
	SECCOMP_VSOCK = 4,        /* streams */
	SECCOMP_VSOCK_PATH = 8,   /* the guest's connections go to sockets at paths, */
	SECCOMP_VSOCK_OFFER = 16, /* or to the launcher, by a descriptor */
	SECCOMP_STREAM_NIC = 32,
	SECCOMP_CONTROL = 64,
	SECCOMP_OWN_PATH = 128, /* a socket that is removed at the end */
	SECCOMP_SNAPSHOT = 256, /* reads the whole machine, and makes a file */
	SECCOMP_WAITING = 512,  /* a vCPU, for the order of --start-fd: starts clocks then */
	SECCOMP_BEHIND = 1024,  /* the event loop then, which lets that vCPU go first */
};

/* For the calling thread, for good; `uses` has one bit or more. It needs no_new_privs. Any other call than those of the table
 * raises SIGSYS, which tells its number on stderr and ends the process. False with errno. */
bool seccomp_enter(unsigned uses);

/* Once, before the first seccomp_enter(): what SIGSYS does. */
void seccomp_prepare(void);

#endif
