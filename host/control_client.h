/* SPDX-License-Identifier: MIT */
/* `vmm ctl PATH REQUEST`: the other end of a control socket. */
#ifndef HOST_CONTROL_CLIENT_H
#define HOST_CONTROL_CLIENT_H

/* Its own exit status, when the VM has answered that it refuses; 0: it does what is asked. */
#define CONTROL_CLIENT_REFUSED 1

/* Sends the request as one line to the socket at `path`, and prints the answer. Returns the exit status; does not return
 * without an answer: exit 121 if the path or the request cannot be right, 122 for anything else. */
int control_client_run(const char *path, const char *request);

#endif
