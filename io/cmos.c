/* SPDX-License-Identifier: MIT */
#include "io/cmos.h"

#include <stddef.h>

#include "mem/layout.h"

static void access_cmos(void *device, const struct bus_access *access)
{
	(void)device;
	if (!access->is_write)
		bus_access_reply(access, 0);
}

void cmos_attach(struct bus *ports)
{
	bus_add(ports, LAYOUT_CMOS_PORT, LAYOUT_CMOS_PORTS, access_cmos, NULL);
}
