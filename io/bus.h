/* SPDX-License-Identifier: MIT */
/* Address to handler. One bus for ports, one for MMIO; filled during set-up, then only read. */
#ifndef IO_BUS_H
#define IO_BUS_H

#include <stdbool.h>
#include <stdint.h>

/* Two windows for each of MAX_VIRTIO devices and the boot timer on one, five devices on the other. */
#define BUS_MAX_RANGES 40

struct bus_access {
	uint64_t offset; /* from the start of the range */
	unsigned length; /* 1, 2, 4 or 8, wholly inside the range */
	bool is_write;
	uint8_t *data; /* `length` bytes, little-endian; a read handler fills them */
};

/* Runs on the vCPU's thread. Never waits for a device. */
typedef void bus_handler_fn(void *device, const struct bus_access *access);

struct bus_range {
	uint64_t start, bytes;
	bus_handler_fn *handle;
	void *device;
};

struct bus {
	unsigned n_ranges;
	struct bus_range ranges[BUS_MAX_RANGES];
};

/* Adds a range. Overlap or a full table is a fault of the monitor: exit 120. */
void bus_add(struct bus *bus, uint64_t start, uint64_t bytes, bus_handler_fn *handle, void *device);

/* Performs one access. Where nothing (or only part of something) is: reads give all ones, writes
 * are dropped, as on a PC. */
void bus_access(const struct bus *bus, uint64_t address, uint8_t *data, unsigned length,
		bool is_write);

/* The data of an access as a number, for handlers. */
uint64_t bus_access_value(const struct bus_access *access);
void bus_access_reply(const struct bus_access *access, uint64_t value);

#endif
