/* SPDX-License-Identifier: MIT */
/* Kernels made by the tests: small, valid, and easy to damage. */
#ifndef TESTS_UNIT_KERNEL_FILES_H
#define TESTS_UNIT_KERNEL_FILES_H

#include <asm/bootparam.h>
#include <elf.h>
#include <stddef.h>

#include "boot/kernel_load.h"
#include "tests/unit/check.h"

#define KERNEL_FILE_MAX 65536

struct kernel_file {
	size_t bytes;
	uint8_t data[KERNEL_FILE_MAX];
};

#define BZIMAGE_HEADER_OFFSET 0x1f1
#define BZIMAGE_SETUP_SECTORS 3u
#define BZIMAGE_CODE_OFFSET   ((BZIMAGE_SETUP_SECTORS + 1) * 512)
#define BZIMAGE_CODE_BYTES    8192u
#define BZIMAGE_LOAD_GPA      0x1000000u
#define BZIMAGE_INIT_SIZE     0x200000u

/* Bytes that tell where they come from. */
static inline void kernel_file_pattern(uint8_t *at, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		at[i] = (uint8_t)(1 + (i * 7 + i / 251 + seed) % 255);
}

static inline struct setup_header *bzimage_header(struct kernel_file *file)
{
	return (struct setup_header *)(file->data + BZIMAGE_HEADER_OFFSET);
}

static inline void bzimage_make(struct kernel_file *file)
{
	memset(file, 0, sizeof(*file));
	file->data[0x201] = 0x6a; /* the header ends at 0x202 + 0x6a */
	struct setup_header header = {
		.setup_sects = BZIMAGE_SETUP_SECTORS,
		.syssize = BZIMAGE_CODE_BYTES / 16,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb,
		.header = 0x53726448,
		.version = 0x020f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x200000,
		.relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = 2047,
		.pref_address = BZIMAGE_LOAD_GPA,
		.init_size = BZIMAGE_INIT_SIZE,
	};
	memcpy(file->data + BZIMAGE_HEADER_OFFSET, &header, sizeof(header));
	kernel_file_pattern(file->data + BZIMAGE_CODE_OFFSET, BZIMAGE_CODE_BYTES, 1);
	file->bytes = BZIMAGE_CODE_OFFSET + BZIMAGE_CODE_BYTES;
}

#define ELF_SEGMENTS    3u /* two to load, one note */
#define ELF_FIRST_GPA   0x1000000u
#define ELF_FIRST_BYTES 5000u
#define ELF_FIRST_AT    0x1000u
#define ELF_SECOND_GPA  0x1800000u
#define ELF_SECOND_FILE 3000u
#define ELF_SECOND_MEM  70000u
#define ELF_SECOND_AT   0x3000u

static inline Elf64_Ehdr *elf_header(struct kernel_file *file)
{
	return (Elf64_Ehdr *)file->data;
}

static inline Elf64_Phdr *elf_segment(struct kernel_file *file, unsigned i)
{
	return (Elf64_Phdr *)(file->data + sizeof(Elf64_Ehdr)) + i;
}

static inline void elf_make(struct kernel_file *file)
{
	memset(file, 0, sizeof(*file));
	*elf_header(file) = (Elf64_Ehdr){
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_entry = ELF_FIRST_GPA + 0x40,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = ELF_SEGMENTS,
	};
	*elf_segment(file, 0) = (Elf64_Phdr){ .p_type = PT_LOAD,
					      .p_flags = PF_R | PF_X,
					      .p_offset = ELF_FIRST_AT,
					      .p_vaddr = 0xffffffff81000000,
					      .p_paddr = ELF_FIRST_GPA,
					      .p_filesz = ELF_FIRST_BYTES,
					      .p_memsz = ELF_FIRST_BYTES };
	*elf_segment(file, 1) = (Elf64_Phdr){ .p_type = PT_LOAD,
					      .p_flags = PF_R | PF_W,
					      .p_offset = ELF_SECOND_AT,
					      .p_vaddr = 0xffffffff81800000,
					      .p_paddr = ELF_SECOND_GPA,
					      .p_filesz = ELF_SECOND_FILE,
					      .p_memsz = ELF_SECOND_MEM };
	/* Not to be loaded, whatever its addresses say. */
	*elf_segment(file, 2) = (Elf64_Phdr){ .p_type = PT_NOTE,
					      .p_offset = 0x4000,
					      .p_paddr = 0x5000,
					      .p_filesz = 64,
					      .p_memsz = 64 };
	kernel_file_pattern(file->data + ELF_FIRST_AT, ELF_FIRST_BYTES, 2);
	kernel_file_pattern(file->data + ELF_SECOND_AT, ELF_SECOND_FILE, 3);
	file->bytes = ELF_SECOND_AT + ELF_SECOND_FILE;
}

/* Loads the file's first `bytes` bytes into fresh memory, with room for an initrd. */
static inline bool kernel_file_load_beside(const struct kernel_file *file, size_t bytes,
					   uint64_t initrd_bytes, const struct guest_memory *memory,
					   struct kernel_image *image, struct error_text *error)
{
	struct input_file input = { .fd = check_memory_file(file->data, bytes), .bytes = bytes };

	error->text[0] = '\0';
	bool loaded = kernel_load(image, memory, &input, initrd_bytes, error);
	input_file_close(&input);
	return loaded;
}

static inline bool kernel_file_load(const struct kernel_file *file, size_t bytes,
				    const struct guest_memory *memory, struct kernel_image *image,
				    struct error_text *error)
{
	return kernel_file_load_beside(file, bytes, 0, memory, image, error);
}

/* Loads the file into 64 MiB; it must be refused with a line that holds `part`, and no byte outside
 * [1 MiB, end of RAM) may have been touched. */
static inline void kernel_file_check_refused(const struct kernel_file *file, size_t bytes,
					     const char *part)
{
	struct guest_memory memory;
	struct kernel_image image;
	struct error_text error;

	CHECK(guest_memory_map(&memory, (uint64_t)64 << 20));
	if (kernel_file_load(file, bytes, &memory, &image, &error)) {
		fprintf(stderr, "loaded, expected: %s\n", part);
		CHECK(!"refused");
	}
	CHECK_HAS(error.text, part);
	CHECK(strchr(error.text, '\n') == NULL);
	CHECK_FILLED(memory.host, 0, 0x100000);
	guest_memory_unmap(&memory);
}

#endif
