/* SPDX-License-Identifier: MIT */
/* The i8042 keyboard controller, as much as there is of it here: the command that resets the PC. */
#ifndef IO_RESET_PORT_H
#define IO_RESET_PORT_H

#include "host/exit_request.h"
#include "io/bus.h"

/* The command that pulses the processor's reset line. */
#define RESET_PORT_RESET 0xfe

/* Ports 0x60 and 0x64. A reset ends the VM with exit status 0. */
void reset_port_attach(struct bus *ports, struct exit_request *exit);

#endif
