/* SPDX-License-Identifier: MIT */
/* Recognises a kernel by its content and loads it: bzImage (64-bit entry) or ELF64 vmlinux. */
#ifndef BOOT_KERNEL_LOAD_H
#define BOOT_KERNEL_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/kernel_image.h"
#include "host/error.h"
#include "host/file.h"
#include "mem/guest_memory.h"

/* Loads `file` into RAM at or above 1 MiB, which must be untouched: zeroed. On false *error says what is wrong with
 * the file, or how much memory it would need, with an initrd of so many bytes (0: none) behind it. Never reads outside
 * the file or writes outside RAM. */
bool kernel_load(struct kernel_image *image, const struct guest_memory *memory,
		 const struct input_file *file, uint64_t initrd_bytes, struct error_text *error);

#endif
