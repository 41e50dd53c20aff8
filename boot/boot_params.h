/* SPDX-License-Identifier: MIT */
/* Command line, initrd and zero page: the kernel's input in memory. */
#ifndef BOOT_BOOT_PARAMS_H
#define BOOT_BOOT_PARAMS_H

#include <stdbool.h>

#include "boot/kernel_image.h"
#include "host/error.h"
#include "host/file.h"
#include "mem/guest_memory.h"

struct initrd {
	uint64_t gpa;
	uint64_t bytes; /* 0: none */
};

/* Reads the file to the highest page-aligned place that the kernel accepts and that lies above the
 * kernel. False: *error says how much memory it needs, or why it cannot be read. */
bool initrd_load(struct initrd *initrd, const struct guest_memory *memory,
		 const struct kernel_image *image, const struct input_file *file,
		 struct error_text *error);

/* Writes the command line and struct boot_params with the e820 map of `memory`, and where the ACPI tables begin (0: there
 * are none). False: the command line is longer than this kernel takes. */
bool boot_params_write(const struct guest_memory *memory, const struct kernel_image *image,
		       const struct initrd *initrd, const char *cmdline, uint64_t rsdp_gpa,
		       struct error_text *error);

#endif
