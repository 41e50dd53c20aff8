/* SPDX-License-Identifier: MIT */
/* A loaded kernel: where it is and what it accepts. */
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

/* The format is recognised by the first bytes of the file; a shorter file counts as padded with zeroes. */
#define KERNEL_HEAD_BYTES 4096

#endif
