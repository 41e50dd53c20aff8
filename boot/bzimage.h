/* SPDX-License-Identifier: MIT */
/* bzImage, by its 64-bit entry, with the contract of kernel_load(). `head`: the file's first KERNEL_HEAD_BYTES. */
#ifndef BOOT_BZIMAGE_H
#define BOOT_BZIMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/kernel_image.h"
#include "host/error.h"
#include "host/file.h"
#include "mem/guest_memory.h"

bool bzimage_load(struct kernel_image *image, const struct guest_memory *memory,
		  const struct input_file *file, uint64_t initrd_bytes, const uint8_t *head,
		  struct error_text *error);

#endif
