/* A kernel in guest memory: what its loader finds out, and the rest of the boot needs. */
#ifndef BOOT_KERNEL_IMAGE_H
#define BOOT_KERNEL_IMAGE_H

#include <asm/bootparam.h>
#include <stdint.h>

struct kernel_image {
	uint64_t entry_gpa;      /* where the BSP starts, in long mode */
	uint64_t end_gpa;        /* the first byte that the kernel does not need before it runs */
	uint64_t initrd_max_gpa; /* highest address that an initrd's last byte may have */
	uint32_t cmdline_max_bytes;       /* without the terminating zero */
	struct setup_header setup_header; /* as in the file for bzImage, a minimal one for ELF */
};

/* A file of any format is recognised by its beginning; one that is shorter is taken as if zeroes followed. */
#define KERNEL_HEAD_BYTES 4096

#endif
