/* SPDX-License-Identifier: MIT */
/* The input is a kernel file (bug class 23). Whatever it says, nothing but RAM from 1 MiB on is
 * written, and what is called loaded lies there. */
#include "tests/fuzz/fuzz.h"

#include "boot/boot_params.h"
#include "boot/kernel_load.h"
#include "mem/layout.h"
#include "tests/unit/kernel_files.h"

#define MEM_BYTES ((uint64_t)64 << 20)

static struct guest_memory memory;
static int kernel_fd, initrd_fd;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static struct kernel_file file;

	(void)argc, (void)argv;
	fuzz_map_memory(&memory, MEM_BYTES);
	CHECK(mprotect(memory.host, LAYOUT_HIGH_RAM_GPA, PROT_NONE) == 0);
	kernel_fd = check_memory_file("", 0);
	initrd_fd = check_memory_file("an initrd", 9);
	elf_make(&file);
	fuzz_seed("elf", file.data, file.bytes);
	fuzz_seed("elf-cut", file.data, file.bytes - 100);
	elf_segment(&file, 1)->p_paddr = MEM_BYTES;
	fuzz_seed("elf-high", file.data, file.bytes);
	bzimage_make(&file);
	fuzz_seed("bzimage", file.data, file.bytes);
	bzimage_header(&file)->setup_sects = 0;
	fuzz_seed("bzimage-4", file.data, file.bytes);
	fuzz_seed("script", "#!/bin/sh\n", 10);
	return 0;
}

static void check_loaded(const struct kernel_image *image)
{
	struct input_file file = { .fd = initrd_fd, .bytes = 9 };
	struct initrd initrd = { 0 };
	struct error_text error;

	CHECK(image->entry_gpa >= LAYOUT_HIGH_RAM_GPA && image->entry_gpa < MEM_BYTES);
	CHECK(image->end_gpa > LAYOUT_HIGH_RAM_GPA && image->end_gpa <= MEM_BYTES);
	if (initrd_load(&initrd, &memory, image, &file, &error)) {
		CHECK(initrd.gpa >= image->end_gpa && initrd.gpa + 9 <= MEM_BYTES);
		CHECK(initrd.gpa + 8 <= image->initrd_max_gpa);
	}
	/* Up to here a write below 1 MiB has no permission. */
	CHECK(mprotect(memory.host, LAYOUT_HIGH_RAM_GPA, PROT_READ | PROT_WRITE) == 0);
	if (boot_params_write(&memory, image, &initrd, "root=/dev/vda", 0, &error))
		CHECK(image->cmdline_max_bytes >= 13);
	CHECK(mprotect(memory.host, LAYOUT_HIGH_RAM_GPA, PROT_NONE) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct input_file file = { .fd = kernel_fd, .bytes = bytes };
	struct kernel_image image;
	struct error_text error = { .text = "" };

	if (bytes == 0)
		return 0;
	CHECK(ftruncate(kernel_fd, 0) == 0);
	CHECK(pwrite(kernel_fd, data, bytes, 0) == (ssize_t)bytes);
	if (kernel_load(&image, &memory, &file, data[bytes - 1], &error)) {
		check_loaded(&image);
	} else {
		CHECK(error.text[0] != '\0' && strchr(error.text, '\n') == NULL);
		/* As read() answers a destination without permission. */
		CHECK(strstr(error.text, "Bad address") == NULL);
	}
	fuzz_clear_memory(&memory);
	return 0;
}
