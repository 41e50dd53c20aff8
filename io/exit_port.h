/* SPDX-License-Identifier: MIT */
/* How a guest ends the VM with an exit status of its own. */
#ifndef IO_EXIT_PORT_H
#define IO_EXIT_PORT_H

#include "host/exit_request.h"
#include "io/bus.h"

/* LAYOUT_EXIT_PORT. A byte written there ends the VM as a reset does, and is the process's exit status. */
void exit_port_attach(struct bus *ports, struct exit_request *exit);

#endif
