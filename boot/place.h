/* SPDX-License-Identifier: MIT */
/* Where the parts of a kernel's file go in guest memory. */
#ifndef BOOT_PLACE_H
#define BOOT_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/kernel_image.h"
#include "host/error.h"
#include "host/file.h"
#include "mem/guest_memory.h"

/* Bytes [offset, offset + length) of the file go to gpa. */
struct place {
	uint64_t gpa, room; /* room: how much memory there, at least length */
	uint64_t offset, length;
};

/* Whether the file has the bytes and the place is between 1 MiB and the end of the identity map. */
bool place_check(const struct place *place, const struct input_file *file,
		 struct error_text *error);

/* Whether there is RAM for all up to image->end_gpa, and for the initrd above it, within image->initrd_max_gpa. */
bool place_kernel_fits(const struct kernel_image *image, const struct guest_memory *memory,
		       uint64_t initrd_bytes, struct error_text *error);

/* Reads the bytes to a place that has been checked: zeroed RAM. */
bool place_load(const struct place *place, const struct guest_memory *memory,
		const struct input_file *file, struct error_text *error);

#endif
