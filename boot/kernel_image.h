/* Recognises a kernel by its content and loads it: bzImage (64-bit entry) or ELF64 vmlinux. */
#ifndef BOOT_KERNEL_IMAGE_H
#define BOOT_KERNEL_IMAGE_H

#include <asm/bootparam.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/fail.h"
#include "host/file.h"
#include "mem/guest_memory.h"

struct kernel_image {
	uint64_t entry_gpa;      /* where the BSP starts, in long mode */
	uint64_t end_gpa;        /* the first byte that the kernel does not need before it runs */
	uint64_t initrd_max_gpa; /* highest address that an initrd's last byte may have */
	uint32_t cmdline_max_bytes;       /* without the terminating zero */
	struct setup_header setup_header; /* as in the file for bzImage, a minimal one for ELF */
};

/* Loads `file` into RAM at or above 1 MiB, which must be untouched: zeroed. On false *error says what is wrong with the file, or how
 * much memory it would need. Never reads outside the file or writes outside RAM. */
bool kernel_image_load(struct kernel_image *image, const struct guest_memory *memory,
		       const struct input_file *file, struct error_text *error);

/* The two formats, for kernel_image_load: `head` is the first 4 KiB of the file, zero-padded. */
#define KERNEL_HEAD_BYTES 4096
bool bzimage_load(struct kernel_image *image, const struct guest_memory *memory,
		  const struct input_file *file, const uint8_t *head, struct error_text *error);
bool elf_load(struct kernel_image *image, const struct guest_memory *memory,
	      const struct input_file *file, const uint8_t *head, struct error_text *error);

/* Reads [offset, offset + length) of the file to gpa (zeroed RAM), which must lie between 1 MiB and the end of
 * the identity map, with `room` bytes (at least length) of RAM from there. */
bool kernel_image_place(const struct guest_memory *memory, const struct input_file *file,
			uint64_t gpa, uint64_t room, uint64_t offset, uint64_t length,
			struct error_text *error);

#endif
