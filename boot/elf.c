/* SPDX-License-Identifier: MIT */
/* ELF64 vmlinux. Its loadable segments carry physical addresses, its entry is startup_64. */
#include "boot/elf.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "boot/place.h"
#include "mem/layout.h"

/* vmlinux has 5; anything near this is damage. The table must also lie in the file. */
#define PHNUM_MAX 64

static bool check_header(const Elf64_Ehdr *header, struct error_text *error)
{
	if (header->e_ident[EI_CLASS] != ELFCLASS64)
		return error_set(error, "a 32-bit ELF file, expected a 64-bit vmlinux");
	if (header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_machine != EM_X86_64)
		return error_set(error, "an ELF file for another machine (%u), expected x86-64",
				 header->e_machine);
	if (header->e_type != ET_EXEC)
		return error_set(error,
				 "an ELF file of type %u, expected a fixed-address executable "
				 "(a vmlinux)",
				 header->e_type);
	if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 ||
	    header->e_phnum > PHNUM_MAX)
		return error_set(error,
				 "a damaged ELF file: %u program headers of %u bytes, expected 1 "
				 "to %d of %zu",
				 header->e_phnum, header->e_phentsize, PHNUM_MAX,
				 sizeof(Elf64_Phdr));
	return true;
}

static struct place place_of(const Elf64_Phdr *segment)
{
	return (struct place){
		.gpa = segment->p_paddr,
		.room = segment->p_memsz,
		.offset = segment->p_offset,
		.length = segment->p_filesz,
	};
}

static bool is_loaded(const Elf64_Phdr *segment)
{
	return segment->p_type == PT_LOAD && segment->p_memsz != 0;
}

static bool check_segment(struct kernel_image *image, const struct input_file *file,
			  const Elf64_Phdr *segment, struct error_text *error)
{
	struct place place = place_of(segment);

	if (place.length > place.room)
		return error_set(error, "a damaged ELF file: a segment is larger than its memory");
	if (!place_check(&place, file, error))
		return false;
	/* The check has shown that the sum is at most 1 GiB. */
	if (place.gpa + place.room > image->end_gpa)
		image->end_gpa = place.gpa + place.room;
	return true;
}

static bool holds_entry(const Elf64_Phdr *segment, uint64_t entry)
{
	return segment->p_type == PT_LOAD && entry >= segment->p_paddr &&
	       entry - segment->p_paddr < segment->p_filesz;
}

/* The fields that a kernel started through vmlinux still reads from its zero page. */
static void fill_setup_header(struct kernel_image *image)
{
	image->setup_header.boot_flag = 0xaa55;
	image->setup_header.header = 0x53726448; /* "HdrS" */
	image->setup_header.version = 0x020f;
	image->setup_header.loadflags = LOADED_HIGH;
	image->setup_header.kernel_alignment = 0x200000;
	image->initrd_max_gpa = 0x7fffffff;
	image->cmdline_max_bytes = LAYOUT_CMDLINE_MAX_BYTES - 1;
}

static bool load_segments(const Elf64_Phdr *segments, unsigned n, const struct guest_memory *memory,
			  const struct input_file *file, struct error_text *error)
{
	for (unsigned i = 0; i < n; i++) {
		struct place place = place_of(&segments[i]);
		if (is_loaded(&segments[i]) && !place_load(&place, memory, file, error))
			return false;
	}
	return true;
}

bool elf_load(struct kernel_image *image, const struct guest_memory *memory,
	      const struct input_file *file, uint64_t initrd_bytes, const uint8_t *head,
	      struct error_text *error)
{
	Elf64_Ehdr header;
	Elf64_Phdr segments[PHNUM_MAX];
	bool entry_found = false;

	memcpy(&header, head, sizeof(header));
	if (!check_header(&header, error))
		return false;
	if (!input_file_read(file, segments, header.e_phnum * sizeof(segments[0]), header.e_phoff))
		return errno != 0
			       ? error_set_errno(error, "cannot read it: %s", strerror(errno))
			       : error_set(
					 error,
					 "the file is truncated: its program headers are missing");
	fill_setup_header(image);
	for (unsigned i = 0; i < header.e_phnum; i++) {
		if (!is_loaded(&segments[i]))
			continue;
		if (!check_segment(image, file, &segments[i], error))
			return false;
		entry_found |= holds_entry(&segments[i], header.e_entry);
	}
	if (!place_kernel_fits(image, memory, initrd_bytes, error))
		return false;
	if (!entry_found)
		return error_set(error, "its entry point 0x%llx is in none of its segments",
				 (unsigned long long)header.e_entry);
	image->entry_gpa = header.e_entry;
	return load_segments(segments, header.e_phnum, memory, file, error);
}
