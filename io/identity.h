/* SPDX-License-Identifier: MIT */
/*
 * What tells the clones of a snapshot apart, for guests without ACPI: on the page of the boot timer,
 * IDENTITY_GENERATION_OFFSET  8 bytes: how many restores lie behind this VM; 0: it has booted
 * IDENTITY_TIME_OFFSET        8 bytes: the host's real time now, nanoseconds since 1970
 * IDENTITY_RANDOM_OFFSET      32 bytes that no other VM gets; zeroes in one that has booted
 * IDENTITY_TEXT_OFFSET        256 bytes: a text by which the launcher tells this clone from others, and zeroes
 * All little-endian, and read whole: 8 bytes at once. A contract with guests: docs/guest.md.
 */
#ifndef IO_IDENTITY_H
#define IO_IDENTITY_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/error.h"
#include "io/bus.h"

#define IDENTITY_GENERATION_OFFSET 8u
#define IDENTITY_TIME_OFFSET       16u
#define IDENTITY_RANDOM_OFFSET     24u
#define IDENTITY_RANDOM_BYTES      32u
#define IDENTITY_TEXT_OFFSET       64u
#define IDENTITY_TEXT_BYTES        256u

struct identity {
	uint64_t generation;
	uint8_t random[IDENTITY_RANDOM_BYTES];
	char text[IDENTITY_TEXT_BYTES];
};

struct identity_state {
	uint64_t generation;
};
static_assert(sizeof(struct identity_state) == 8, "a file's format");

/* A read of the page. Any thread. */
void identity_read(const struct identity *identity, const struct bus_access *access);

void identity_save(const struct identity *identity, struct identity_state *state);

/* Another identity than that of any VM before. False: the host gives no random bytes. */
bool identity_restore(struct identity *identity, const struct identity_state *state,
		      struct error_text *error);

#endif
