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

/* Loads `file` into RAM at or above 1 MiB, which must be untouched: zeroed. On false *error says what is wrong with
 * the file, or how much memory it would need, with an initrd of so many bytes (0: none) behind it. Never reads outside
 * the file or writes outside RAM. */
bool kernel_image_load(struct kernel_image *image, const struct guest_memory *memory,
		       const struct input_file *file, uint64_t initrd_bytes,
		       struct error_text *error);

/* The two formats, for kernel_image_load: `head` is the first 4 KiB of the file, zero-padded. */
#define KERNEL_HEAD_BYTES 4096
bool bzimage_load(struct kernel_image *image, const struct guest_memory *memory,
		  const struct input_file *file, uint64_t initrd_bytes, const uint8_t *head,
		  struct error_text *error);
bool elf_load(struct kernel_image *image, const struct guest_memory *memory,
	      const struct input_file *file, uint64_t initrd_bytes, const uint8_t *head,
	      struct error_text *error);

/* Bytes [offset, offset + length) of the file, which belong at gpa. */
struct kernel_part {
	uint64_t gpa, room; /* room: how much memory there, at least length */
	uint64_t offset, length;
};

/* Whether the file has the part and its place is between 1 MiB and the end of the identity map. */
bool kernel_part_check(const struct kernel_part *part, const struct input_file *file,
		       struct error_text *error);

/* Whether there is RAM for all up to image->end_gpa, and for the initrd above it, within image->initrd_max_gpa. */
bool kernel_image_fits(const struct kernel_image *image, const struct guest_memory *memory,
		       uint64_t initrd_bytes, struct error_text *error);

/* Reads a part that has been checked to its place, zeroed RAM. */
bool kernel_part_load(const struct kernel_part *part, const struct guest_memory *memory,
		      const struct input_file *file, struct error_text *error);

#endif
