/* SPDX-License-Identifier: MIT */
#include "boot/boot_params.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "mem/layout.h"
#include "mem/page.h"

#define E820_RAM               1u
#define E820_RESERVED          2u
#define LOADER_TYPE_UNASSIGNED 0xffu

static_assert(sizeof(struct boot_params) == 4096, "the zero page is one page");

bool initrd_load(struct initrd *initrd, const struct guest_memory *memory,
		 const struct kernel_image *image, const struct input_file *file,
		 struct error_text *error)
{
	uint64_t top = image->initrd_max_gpa + 1;

	if (top > memory->low_bytes)
		top = memory->low_bytes;
	uint64_t floor = (image->end_gpa + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	if (top < floor || file->bytes > top - floor)
		return error_set(error,
				 "its %llu bytes do not fit between the kernel's end at %lluM and "
				 "%lluM; more --mem may help",
				 (unsigned long long)file->bytes,
				 (unsigned long long)(image->end_gpa >> 20),
				 (unsigned long long)(top >> 20));
	initrd->gpa = (top - file->bytes) & ~(PAGE_BYTES - 1);
	initrd->bytes = file->bytes;
	void *host = guest_memory_at(memory, initrd->gpa, initrd->bytes);
	if (host == NULL)
		return error_set(error, "there is no RAM at 0x%llx",
				 (unsigned long long)initrd->gpa);
	if (!input_file_read_into_zeroes(file, host, (size_t)file->bytes, 0))
		return error_set_errno(error, "cannot read it: %s",
				       errno ? strerror(errno) : "the file became shorter");
	return true;
}

static void add_e820(struct boot_params *params, uint64_t gpa, uint64_t bytes, uint32_t type)
{
	if (bytes == 0)
		return;
	params->e820_table[params->e820_entries++] = (struct boot_e820_entry){
		.addr = gpa,
		.size = bytes,
		.type = type,
	};
}

static void fill_e820(struct boot_params *params, const struct guest_memory *memory)
{
	add_e820(params, 0, LAYOUT_LOW_RAM_END_GPA, E820_RAM);
	add_e820(params, LAYOUT_LOW_RAM_END_GPA, LAYOUT_HIGH_RAM_GPA - LAYOUT_LOW_RAM_END_GPA,
		 E820_RESERVED);
	add_e820(params, LAYOUT_HIGH_RAM_GPA, memory->low_bytes - LAYOUT_HIGH_RAM_GPA, E820_RAM);
	add_e820(params, LAYOUT_ABOVE_4G_GPA, memory->high_bytes, E820_RAM);
}

bool boot_params_write(const struct guest_memory *memory, const struct kernel_image *image,
		       const struct initrd *initrd, const char *cmdline, uint64_t rsdp_gpa,
		       struct error_text *error)
{
	struct boot_params params = { .acpi_rsdp_addr = rsdp_gpa, .hdr = image->setup_header };
	size_t cmdline_bytes = strlen(cmdline);

	if (cmdline_bytes > image->cmdline_max_bytes)
		return error_set(error, "the command line has %zu bytes, this kernel takes %u",
				 cmdline_bytes, image->cmdline_max_bytes);
	params.hdr.type_of_loader = LOADER_TYPE_UNASSIGNED;
	params.hdr.cmd_line_ptr = LAYOUT_CMDLINE_GPA;
	params.hdr.cmdline_size = (uint32_t)cmdline_bytes;
	params.hdr.ramdisk_image = (uint32_t)initrd->gpa; /* below 4 GiB: see initrd_load */
	params.hdr.ramdisk_size = (uint32_t)initrd->bytes;
	fill_e820(&params, memory);
	if (!guest_memory_write(memory, LAYOUT_CMDLINE_GPA, cmdline, cmdline_bytes + 1) ||
	    !guest_memory_write(memory, LAYOUT_ZERO_PAGE_GPA, &params, sizeof(params)))
		return error_set(error, "there is no RAM for the zero page");
	return true;
}
