/* SPDX-License-Identifier: MIT */
#include "io/exit_port.h"

#include "host/error.h"
#include "mem/layout.h"

static void access_exit(void *device, const struct bus_access *access)
{
	struct exit_request *exit = device;

	if (access->is_write)
		exit_request_post(exit, EXIT_GUEST_STATUS + access->data[0]);
	else
		bus_access_reply(access, 0);
}

void exit_port_attach(struct bus *ports, struct exit_request *exit)
{
	bus_add(ports, LAYOUT_EXIT_PORT, 1, access_exit, exit);
}
