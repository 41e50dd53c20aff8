/* SPDX-License-Identifier: MIT */
/* bzImage: Documentation/arch/x86/boot.rst of Linux, "64-bit boot protocol". */
#include "boot/bzimage.h"

#include <stddef.h>
#include <string.h>

#include "boot/place.h"
#include "mem/layout.h"

#define SETUP_HEADER_OFFSET   0x1f1u
#define SETUP_HEADER_END_BYTE 0x201u /* the header ends at 0x202 plus the byte here */
#define ENTRY_64_OFFSET       0x200u
#define SECTOR_BYTES          512u
#define PROTOCOL_2_12         0x020c /* the first with xloadflags */

static bool read_header(struct setup_header *header, const uint8_t *head, struct error_text *error)
{
	size_t length = 0x202u + head[SETUP_HEADER_END_BYTE] - SETUP_HEADER_OFFSET;

	if (length > sizeof(*header))
		length = sizeof(*header);
	memset(header, 0, sizeof(*header));
	memcpy(header, head + SETUP_HEADER_OFFSET, length);
	if (header->version < PROTOCOL_2_12)
		return error_set(error,
				 "a bzImage of boot protocol %u.%02u, expected 2.12 or later",
				 header->version >> 8, header->version & 0xffu);
	if (!(header->loadflags & LOADED_HIGH))
		return error_set(error, "a zImage that loads below 1 MiB, expected a bzImage");
	if (!(header->xloadflags & XLF_KERNEL_64))
		return error_set(error, "a 32-bit bzImage, expected one with the 64-bit entry");
	return true;
}

bool bzimage_load(struct kernel_image *image, const struct guest_memory *memory,
		  const struct input_file *file, uint64_t initrd_bytes, const uint8_t *head,
		  struct error_text *error)
{
	struct setup_header *header = &image->setup_header;

	if (!read_header(header, head, error))
		return false;
	uint32_t setup_sectors = header->setup_sects ? header->setup_sects : 4;
	uint64_t offset = (uint64_t)(setup_sectors + 1) * SECTOR_BYTES;
	/* syssize counts 16-byte paragraphs, rounded up: the last may lie behind the file's end. */
	uint64_t length = (uint64_t)header->syssize * 16;
	if (offset < file->bytes && length > file->bytes - offset &&
	    length - (file->bytes - offset) < 16)
		length = file->bytes - offset;
	if (length < ENTRY_64_OFFSET)
		return error_set(error, "a damaged bzImage: its code has %llu bytes",
				 (unsigned long long)length);
	/* init_size is what the decompressor needs from pref_address before it has an e820 map. */
	struct place place = {
		.gpa = header->pref_address,
		.room = header->init_size > length ? header->init_size : length,
		.offset = offset,
		.length = length,
	};
	if (!place_check(&place, file, error))
		return false;
	image->entry_gpa = place.gpa + ENTRY_64_OFFSET;
	image->end_gpa = place.gpa + place.room;
	image->initrd_max_gpa = header->initrd_addr_max;
	image->cmdline_max_bytes = header->cmdline_size;
	return place_kernel_fits(image, memory, initrd_bytes, error) &&
	       place_load(&place, memory, file, error);
}
