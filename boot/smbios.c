/* SPDX-License-Identifier: MIT */
#include "boot/smbios.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/checksum.h"
#include "mem/layout.h"

#define END_OF_TABLE 127

struct smbios_entry {
	char anchor[5];
	uint8_t checksum, length, major, minor, errata, revision, reserved;
	uint32_t table_max_bytes;
	uint64_t table_gpa;
};

struct smbios_structure {
	uint8_t type, length;
	uint16_t handle;
	uint8_t no_strings[2];
};

struct smbios_tables {
	struct smbios_entry entry;
	struct smbios_structure end;
};

static_assert(sizeof(struct smbios_entry) == 24 && sizeof(struct smbios_structure) == 6,
	      "as the specification has them");
static_assert(LAYOUT_SMBIOS_GPA + sizeof(struct smbios_tables) <= LAYOUT_MPTABLE_GPA,
	      "below the MP table");

bool smbios_write(const struct guest_memory *memory)
{
	struct smbios_tables tables = {
		.entry = { .anchor = "_SM3_",
			   .length = sizeof(struct smbios_entry),
			   .major = 3,
			   .revision = 1,
			   .table_max_bytes = sizeof(struct smbios_structure),
			   .table_gpa = LAYOUT_SMBIOS_GPA + offsetof(struct smbios_tables, end) },
		.end = { .type = END_OF_TABLE, .length = 4 },
	};

	tables.entry.checksum = checksum(&tables.entry, sizeof(tables.entry));
	return guest_memory_write(memory, LAYOUT_SMBIOS_GPA, &tables, sizeof(tables));
}
