/* SPDX-License-Identifier: MIT */
#include "boot/ibft.h"

#include <assert.h>
#include <stdint.h>

#include "boot/checksum.h"
#include "mem/layout.h"

#define CONTROL_ID 1

struct ibft_control {
	uint8_t id, version;
	uint16_t length;
	uint8_t index, flags;
	uint16_t extensions, initiator, adapter0, target0, adapter1,
		target1; /* offsets; 0: there is none */
};

struct ibft {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint8_t reserved[24];
	struct ibft_control control;
} __attribute__((packed));

static_assert(sizeof(struct ibft) == 66 && sizeof(struct ibft_control) == 18, "iBFT 1.03, 1.4");
static_assert(LAYOUT_IBFT_GPA >= LAYOUT_LOW_RAM_END_GPA && LAYOUT_IBFT_GPA % 16 == 0,
	      "where a kernel looks, and no RAM");

bool ibft_write(const struct guest_memory *memory)
{
	struct ibft ibft = {
		.signature = "iBFT",
		.length = sizeof(ibft),
		.revision = 1,
		.oem_id = "VMM   ",
		.oem_table_id = "MICROVM ",
		.control = { .id = CONTROL_ID, .version = 1, .length = sizeof(ibft.control) },
	};

	ibft.checksum = checksum(&ibft, sizeof(ibft));
	return guest_memory_write(memory, LAYOUT_IBFT_GPA, &ibft, sizeof(ibft));
}
