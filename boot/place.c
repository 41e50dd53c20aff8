/* SPDX-License-Identifier: MIT */
#include "boot/place.h"

#include <errno.h>
#include <string.h>

#include "mem/layout.h"
#include "mem/page.h"

#define MIB ((uint64_t)1 << 20)

bool place_check(const struct place *place, const struct input_file *file, struct error_text *error)
{
	if (place->offset > file->bytes || place->length > file->bytes - place->offset)
		return error_set(error,
				 "the file is truncated: it has %llu bytes, its header tells of "
				 "%llu at offset %llu",
				 (unsigned long long)file->bytes, (unsigned long long)place->length,
				 (unsigned long long)place->offset);
	if (place->gpa < LAYOUT_HIGH_RAM_GPA || place->gpa >= LAYOUT_IDENTITY_MAP_BYTES ||
	    place->room < place->length || place->room > LAYOUT_IDENTITY_MAP_BYTES - place->gpa)
		return error_set(error,
				 "it wants to be loaded at 0x%llx (%llu bytes), expected a place "
				 "between 1 MiB and 1 GiB",
				 (unsigned long long)place->gpa, (unsigned long long)place->room);
	return true;
}

static uint64_t round_up(uint64_t bytes, uint64_t unit)
{
	return (bytes + unit - 1) / unit * unit;
}

/* One message for all of it: a user who follows its advice gets no second one. */
bool place_kernel_fits(const struct kernel_image *image, const struct guest_memory *memory,
		       uint64_t initrd_bytes, struct error_text *error)
{
	uint64_t end = round_up(image->end_gpa, PAGE_BYTES), top = image->initrd_max_gpa + 1;

	if (top > LAYOUT_MMIO_HOLE_GPA)
		top = LAYOUT_MMIO_HOLE_GPA;
	if (initrd_bytes > 0 && (end > top || initrd_bytes > top - end))
		return error_set(error, "the initrd has %llu bytes, this kernel takes %llu",
				 (unsigned long long)initrd_bytes,
				 end > top ? 0 : (unsigned long long)(top - end));
	end += round_up(initrd_bytes, PAGE_BYTES);
	return end <= memory->low_bytes ||
	       error_set(error, "%sit needs at least --mem %lluM%s",
			 initrd_bytes > 0 ? "with its initrd " : "",
			 (unsigned long long)(round_up(end, MIB) / MIB),
			 initrd_bytes > 0 ? ", and room for what that unpacks to" : "");
}

bool place_load(const struct place *place, const struct guest_memory *memory,
		const struct input_file *file, struct error_text *error)
{
	void *host = guest_memory_at(memory, place->gpa, place->room);

	if (host == NULL)
		return error_set(error, "there is no RAM at 0x%llx",
				 (unsigned long long)place->gpa);
	if (!input_file_read_into_zeroes(file, host, (size_t)place->length, place->offset))
		return error_set_errno(error, "cannot read it: %s",
				       errno ? strerror(errno) : "the file became shorter");
	return true;
}
