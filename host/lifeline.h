/* SPDX-License-Identifier: MIT */
/* An inherited pipe or socket whose other end the launcher holds: when that is closed, as the kernel does when the launcher
 * dies, the VM ends as by SIGTERM. What is written there is never read. */
#ifndef HOST_LIFELINE_H
#define HOST_LIFELINE_H

#include <stdbool.h>

#include "host/error.h"

/* Beside POLLHUP and POLLERR, which poll() always tells: a socket whose peer writes no more. */
#define LIFELINE_EVENTS POLLRDHUP

/* Either end of a pipe, or a socket of a connection; the description stays as it is. False: it is something that cannot
 * hang up. Once a process. */
bool lifeline_adopt(int fd, struct error_text *error);

/* -1: there is none. */
int lifeline_fd(void);

/* At once; false if there is none. Any thread. */
bool lifeline_has_ended(void);

#endif
