/* SPDX-License-Identifier: MIT */
#include "io/sleep_port.h"

#include "host/error.h"
#include "mem/layout.h"

#define SLEEP_TYPE_SHIFT 2
#define SLEEP_TYPE_MASK  7
#define SLEEP_ENABLE     0x20

static void access_sleep(void *device, const struct bus_access *access)
{
	struct exit_request *exit = device;
	uint8_t value = access->data[0];

	if (!access->is_write)
		bus_access_reply(access, 0);
	else if (access->offset == 0 && (value & SLEEP_ENABLE) &&
		 (value >> SLEEP_TYPE_SHIFT & SLEEP_TYPE_MASK) == SLEEP_PORT_TYPE_S5)
		exit_request_post(exit, EXIT_GUEST_ENDED);
}

void sleep_port_attach(struct bus *ports, struct exit_request *exit)
{
	bus_add(ports, LAYOUT_SLEEP_PORT, LAYOUT_SLEEP_PORTS, access_sleep, exit);
}
