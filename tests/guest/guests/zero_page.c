/* SPDX-License-Identifier: MIT */
/* Prints the input that Linux would find: the command line, the memory map and the initrd, whose bytes are printed. */
#include "rt/rt.h"

struct e820_entry {
	uint64_t gpa, bytes;
	uint32_t type;
} __attribute__((packed));

void guest_main(const uint8_t *zero_page)
{
	const struct e820_entry *map = (const void *)(zero_page + ZERO_PAGE_E820_TABLE);
	uint32_t initrd_gpa = load32(zero_page + ZERO_PAGE_RAMDISK_IMAGE);
	uint32_t initrd_bytes = load32(zero_page + ZERO_PAGE_RAMDISK_BYTES);

	print((const char *)(uintptr_t)load32(zero_page + ZERO_PAGE_CMDLINE));
	print("\n");
	for (unsigned i = 0; i < zero_page[ZERO_PAGE_E820_ENTRIES]; i++) {
		print_hex(map[i].gpa);
		print(" ");
		print_hex(map[i].bytes);
		print(" ");
		print_hex(map[i].type);
		print("\n");
	}
	print_number("initrd", initrd_bytes);
	print_check("initrd on a page", initrd_gpa % 4096 == 0);
	print_bytes((const void *)(uintptr_t)initrd_gpa, initrd_bytes);
}
