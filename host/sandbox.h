/* SPDX-License-Identifier: MIT */
/*
 * What the monitor gives away before the guest's first instruction: capabilities, the file system, system calls. A layer that
 * the host does not have is left out; --sandbox tells whether that is said, or refused.
 */
#ifndef HOST_SANDBOX_H
#define HOST_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "host/listen_socket.h"
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

/* What a thread keeps. */
struct sandbox_files {
	/* Directories of sockets that are removed at the end; -1: none. Root may do that in another user's. */
	int removal_fds[LISTEN_SOCKETS];
	int folder_fd; /* new files can be made there; -1: none */
	/* It connects to sockets at these paths, which end with NULL, by sandbox_path(). In one directory, it sees nothing else. */
	const char *const *connected;
};

/* Whose user and groups the process gives itself; there are no others. */
struct sandbox_user {
	bool is_given;
	uint32_t uid, gid;
};

/* Once, before the others; with one thread. `connected`: whether the process connects to paths once it is confined. */
void sandbox_prepare(enum sandbox_mode mode, const struct sandbox_user *user, bool connects);

/* For the whole process, when the files are open. */
void sandbox_limit(const struct sandbox_limits *limits);

/* For the whole process, when nothing below /proc/self is opened any more. */
void sandbox_refuse_tracers(void);

/* For the calling thread and those that it makes: nothing can be opened, no capabilities. Does not return if the user is
 * refused (exit 122). */
void sandbox_give_up_files(const struct sandbox_files *files);

/* The path by which a thread with `connected` finds its socket, before and after. */
const char *sandbox_path(const char *path);

/* For the calling thread: no system calls but those that these uses (enum seccomp_use) need. After sandbox_give_up_files(), here or in the thread that made
 * it. */
void sandbox_enter(unsigned uses);

/* Whether what is missing is said or refused: then by sandbox_report(), when every thread but the vCPUs' has entered. */
bool sandbox_is_reported(void);
void sandbox_report(void);

/* On stdout, a line for each layer: "sandbox  NAME on", or "sandbox  NAME off: " and why. Those that no host lacks are left out. */
void sandbox_print(void);

#endif
