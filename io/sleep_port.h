/* SPDX-License-Identifier: MIT */
/* The sleep control and status registers of hardware-reduced ACPI (6.5, 4.8.3.7): how a guest powers off. */
#ifndef IO_SLEEP_PORT_H
#define IO_SLEEP_PORT_H

#include "host/exit_request.h"
#include "io/bus.h"

/* The value in _S5, which the guest writes to power off. */
#define SLEEP_PORT_TYPE_S5 5

/* LAYOUT_SLEEP_PORT. S5, the only sleep there is, ends the VM with exit status 0. */
void sleep_port_attach(struct bus *ports, struct exit_request *exit);

#endif
