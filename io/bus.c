/* SPDX-License-Identifier: MIT */
#include "io/bus.h"

#include <stddef.h>
#include <string.h>

#include "host/fail.h"

void bus_add(struct bus *bus, uint64_t start, uint64_t bytes, bus_handler_fn *handle, void *device)
{
	if (bus->n_ranges == BUS_MAX_RANGES)
		fail(EXIT_MONITOR_FAILED, "more than %d ranges on a bus", BUS_MAX_RANGES);
	for (unsigned i = 0; i < bus->n_ranges; i++) {
		const struct bus_range *other = &bus->ranges[i];
		if (start < other->start + other->bytes && other->start < start + bytes)
			fail(EXIT_MONITOR_FAILED, "two devices at 0x%llx",
			     (unsigned long long)start);
	}
	bus->ranges[bus->n_ranges++] = (struct bus_range){ start, bytes, handle, device };
}

void bus_access(const struct bus *bus, uint64_t address, uint8_t *data, unsigned length,
		bool is_write)
{
	for (unsigned i = 0; i < bus->n_ranges; i++) {
		const struct bus_range *range = &bus->ranges[i];
		uint64_t offset = address - range->start; /* wraps to a large one below start */
		if (offset >= range->bytes || length > range->bytes - offset)
			continue;
		struct bus_access access = { offset, length, is_write, data };
		range->handle(range->device, &access);
		return;
	}
	if (!is_write)
		memset(data, 0xff, length);
}

uint64_t bus_access_value(const struct bus_access *access)
{
	uint64_t value = 0;

	memcpy(&value, access->data, access->length);
	return value;
}

void bus_access_reply(const struct bus_access *access, uint64_t value)
{
	memcpy(access->data, &value, access->length);
}
