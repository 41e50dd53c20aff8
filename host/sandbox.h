/* SPDX-License-Identifier: MIT */
/*
 * What the monitor gives away before the guest's first instruction: capabilities, the file system, system calls. A layer that
 * the host does not have is left out; --sandbox tells whether that is said, or refused.
 */
#ifndef HOST_SANDBOX_H
#define HOST_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "host/seccomp.h"

enum sandbox_mode {
	SANDBOX_ON,     /* what the host has, and no word about the rest */
	SANDBOX_WARN,   /* one line names what it has not */
	SANDBOX_STRICT, /* which is refused then (exit 122) */
	SANDBOX_OFF,
};

struct sandbox_limits {
	unsigned n_descriptors;  /* for new ones */
	uint64_t max_file_bytes; /* no file grows above it; UINT64_MAX: any */
};

#define SANDBOX_PATHS 2

/* Once, before the others; with one thread. `paths`: of sockets that are removed at the end, or NULL. */
void sandbox_prepare(enum sandbox_mode mode, const char *const paths[SANDBOX_PATHS]);

/* For the whole process, when all is open that needs to be. */
void sandbox_limit(const struct sandbox_limits *limits);

/* For the calling thread and those that it makes: nothing can be opened, no capabilities. */
void sandbox_give_up_files(void);
/* The same, but new files can be made in a folder. */
void sandbox_give_up_files_outside(int folder_fd);

/* For the calling thread: no system calls but those that it needs. After sandbox_give_up_files(), here or in the thread that made
 * it. */
void sandbox_enter(enum seccomp_thread thread);

/* When every thread but the vCPUs' has entered: says or refuses what is missing. */
void sandbox_report(void);

/* On stdout, a line for each layer: "sandbox  NAME on", or "sandbox  NAME off: " and why. Those that no host lacks are left out. */
void sandbox_print(void);

#endif
