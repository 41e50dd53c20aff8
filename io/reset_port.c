/* SPDX-License-Identifier: MIT */
#include "io/reset_port.h"

#include "host/error.h"
#include "mem/layout.h"

#define STATUS_OUTPUT_FULL 0x01

static void access_command(void *device, const struct bus_access *access)
{
	struct exit_request *exit = device;

	if (!access->is_write) {
		/* "Output buffer full" always, "input buffer full" never: a driver that probes for a keyboard gives
		 * up at once, because it cannot drain the buffer, and one that wants to reset need not wait. */
		bus_access_reply(access, STATUS_OUTPUT_FULL);
	} else if (access->data[0] == RESET_PORT_RESET) {
		exit_request_post(exit, EXIT_GUEST_ENDED);
	}
}

static void access_data(void *device, const struct bus_access *access)
{
	(void)device;
	if (!access->is_write)
		bus_access_reply(access, 0);
}

void reset_port_attach(struct bus *ports, struct exit_request *exit)
{
	bus_add(ports, LAYOUT_I8042_DATA, 1, access_data, exit);
	bus_add(ports, LAYOUT_I8042_COMMAND, 1, access_command, exit);
}
