/* SPDX-License-Identifier: MIT */
/* ELF vmlinux files, good and damaged (bug class 23), and files that are no kernel at all. */
#include "boot/kernel_load.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "mem/layout.h"
#include "tests/unit/check.h"
#include "tests/unit/kernel_files.h"

#define MIB ((uint64_t)1 << 20)

static struct kernel_file file;

static void check_refused(const char *part)
{
	kernel_file_check_refused(&file, file.bytes, part);
}

static void test_good(void)
{
	struct guest_memory memory;
	struct kernel_image image;
	struct error_text error;

	elf_make(&file);
	CHECK(guest_memory_map(&memory, 64 * MIB));
	CHECK(kernel_file_load(&file, file.bytes, &memory, &image, &error));
	CHECK_EQ(image.entry_gpa, ELF_FIRST_GPA + 0x40);
	CHECK_EQ(image.end_gpa, ELF_SECOND_GPA + ELF_SECOND_MEM);
	CHECK_EQ(image.setup_header.boot_flag, 0xaa55);
	CHECK_EQ(image.setup_header.header, 0x53726448);
	CHECK(image.cmdline_max_bytes >= 2047);
	CHECK_BYTES(memory.host + ELF_FIRST_GPA, file.data + ELF_FIRST_AT, ELF_FIRST_BYTES);
	CHECK_BYTES(memory.host + ELF_SECOND_GPA, file.data + ELF_SECOND_AT, ELF_SECOND_FILE);
	uint64_t first_end = ELF_FIRST_GPA + ELF_FIRST_BYTES;
	uint64_t second_end = ELF_SECOND_GPA + ELF_SECOND_FILE;
	CHECK_FILLED(memory.host, 0, ELF_FIRST_GPA);
	CHECK_FILLED(memory.host + first_end, 0, ELF_SECOND_GPA - first_end);
	CHECK_FILLED(memory.host + second_end, 0, memory.bytes - second_end);
	guest_memory_unmap(&memory);
}

static void test_truncated_everywhere(void)
{
	elf_make(&file);
	for (size_t bytes = 1; bytes < file.bytes; bytes += bytes < 0x100 ? 1 : 37)
		kernel_file_check_refused(&file, bytes, "");
	kernel_file_check_refused(&file, 3, "expected a bzImage or an ELF");
	kernel_file_check_refused(&file, sizeof(Elf64_Ehdr), "program headers are missing");
	kernel_file_check_refused(&file, sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr) - 1,
				  "program headers are missing");
	kernel_file_check_refused(&file, file.bytes - 1, "truncated");
}

static void test_foreign_elf(void)
{
	elf_make(&file);
	elf_header(&file)->e_ident[EI_CLASS] = ELFCLASS32;
	check_refused("32-bit ELF");
	elf_header(&file)->e_ident[EI_CLASS] = 0;
	check_refused("32-bit ELF");
	elf_make(&file);
	elf_header(&file)->e_ident[EI_DATA] = ELFDATA2MSB;
	check_refused("another machine");
	elf_make(&file);
	elf_header(&file)->e_machine = EM_AARCH64;
	check_refused("another machine (183)");
	static const uint16_t types[] = { ET_NONE, ET_REL, ET_DYN, ET_CORE, 0xffff };
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		elf_make(&file);
		elf_header(&file)->e_type = types[i];
		check_refused("of type");
	}
}

static void test_program_header_table(void)
{
	static const uint16_t counts[] = { 0, 65, 1000, 0xffff };
	static const uint16_t sizes[] = { 0, 1, 32, 55, 57, 0xffff };
	static const uint64_t offsets[] = { 0x7fffffffffffffff, UINT64_MAX, UINT64_MAX - 167,
					    0x8000000000000000, KERNEL_FILE_MAX };

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		elf_make(&file);
		elf_header(&file)->e_phnum = counts[i];
		check_refused("damaged ELF file");
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		elf_make(&file);
		elf_header(&file)->e_phentsize = sizes[i];
		check_refused("damaged ELF file");
	}
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		elf_make(&file);
		elf_header(&file)->e_phoff = offsets[i];
		check_refused("program headers are missing");
	}
	elf_make(&file);
	elf_header(&file)->e_phoff = file.bytes - 3 * sizeof(Elf64_Phdr) + 1;
	check_refused("program headers are missing");
}

/* Offsets and sizes in the file: beyond its end, and such that their sum wraps. */
static void test_segment_in_the_file(void)
{
	static const struct {
		uint64_t offset, bytes;
	} bad[] = {
		{ KERNEL_FILE_MAX, 1 },    { 0, KERNEL_FILE_MAX },
		{ UINT64_MAX, 1 },         { UINT64_MAX, 2 },
		{ 0x1000, UINT64_MAX },    { 0x1000, UINT64_MAX - 0xfff },
		{ UINT64_MAX - 99, 100 },  { 1ull << 63, 1ull << 63 },
		{ 0x7fffffffffffffff, 1 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		elf_make(&file);
		elf_segment(&file, 0)->p_offset = bad[i].offset;
		elf_segment(&file, 0)->p_filesz = bad[i].bytes;
		elf_segment(&file, 0)->p_memsz = bad[i].bytes;
		check_refused("truncated");
	}
	elf_make(&file);
	elf_segment(&file, 0)->p_memsz = ELF_FIRST_BYTES - 1;
	check_refused("larger than its memory");
	elf_segment(&file, 0)->p_filesz = UINT64_MAX;
	check_refused("larger than its memory");
}

static void test_segment_in_memory(void)
{
	static const struct {
		uint64_t gpa, bytes;
	} bad[] = {
		{ 0, 5000 },
		{ 0xfffff, 5000 },
		{ 0x40000000, 5000 },
		{ 0x3ffff000, 5000 },
		{ 0x1000000, 0x3f000001 },
		{ 0x1000000, UINT64_MAX },
		{ 0x1000000, UINT64_MAX - 0xffffff },
		{ UINT64_MAX, 5000 },
		{ UINT64_MAX - 4999, 5000 },
		{ 0xffffffff81000000, 5000 },
		{ 0x100000000, 5000 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		elf_make(&file);
		elf_segment(&file, 0)->p_paddr = bad[i].gpa;
		elf_segment(&file, 0)->p_memsz = bad[i].bytes;
		check_refused("between 1 MiB and 1 GiB");
	}
	elf_make(&file);
	elf_segment(&file, 0)->p_paddr = 64 * MIB;
	check_refused("it needs at least --mem 65M");
	elf_segment(&file, 0)->p_paddr = 64 * MIB - 4999;
	check_refused("it needs at least --mem 65M");
	elf_make(&file);
	elf_segment(&file, 1)->p_memsz = 64 * MIB; /* its bss */
	check_refused("it needs at least --mem 88M");
}

/* Whatever memory there is and is missing, the message has one number, and with that the file is loaded. */
static void check_need(uint64_t initrd_bytes, const char *message, uint64_t need_mib)
{
	struct kernel_image image;
	struct error_text error;

	for (uint64_t mib = 2; mib <= need_mib; mib++) {
		struct guest_memory memory;
		CHECK(guest_memory_map(&memory, mib * MIB));
		bool loaded = kernel_file_load_beside(&file, file.bytes, initrd_bytes, &memory,
						      &image, &error);
		CHECK_EQ(loaded, mib == need_mib);
		if (!loaded)
			CHECK_STRING(error.text, message);
		CHECK(loaded || error.code == EXIT_BAD_INPUT);
		guest_memory_unmap(&memory);
	}
}

static void test_whole_need_at_once(void)
{
	elf_make(&file); /* segments at 16 and 24 MiB */
	check_need(0, "it needs at least --mem 25M", 25);
	check_need(1,
		   "with its initrd it needs at least --mem 25M, and room for what that unpacks to",
		   25);
	check_need(5 * MIB,
		   "with its initrd it needs at least --mem 30M, and room for what that unpacks to",
		   30);
	elf_segment(&file, 1)->p_paddr =
		ELF_FIRST_GPA - 8 * MIB; /* the first is the last in memory */
	check_need(0, "it needs at least --mem 17M", 17);
	elf_segment(&file, 1)->p_memsz = 22 * MIB;
	check_need(0, "it needs at least --mem 30M", 30);
	check_need(MIB,
		   "with its initrd it needs at least --mem 31M, and room for what that unpacks to",
		   31);
	check_need(MIB + 1,
		   "with its initrd it needs at least --mem 32M, and room for what that unpacks to",
		   32);
}

/* More memory would not help. */
static void test_initrd_out_of_reach(void)
{
	struct guest_memory memory;
	struct kernel_image image;
	struct error_text error;

	elf_make(&file);
	CHECK(guest_memory_map(&memory, 64 * MIB));
	CHECK(!kernel_file_load_beside(&file, file.bytes, 2048 * MIB - 24 * MIB, &memory, &image,
				       &error));
	CHECK_HAS(error.text, "the initrd has 2122317824 bytes, this kernel takes 2122");
	CHECK(!kernel_file_load_beside(&file, file.bytes, UINT64_MAX, &memory, &image, &error));
	CHECK_HAS(error.text, "the initrd has 18446744073709551615 bytes, this kernel takes");
	guest_memory_unmap(&memory);
}

/* The entry must be in the file's part of a segment that is loaded. */
static void test_entry(void)
{
	static const uint64_t bad[] = {
		0,
		ELF_FIRST_GPA - 1,
		ELF_FIRST_GPA + ELF_FIRST_BYTES,
		0xffffffff81000000,
		UINT64_MAX,
		ELF_SECOND_GPA + ELF_SECOND_FILE,
		0x5000,
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		elf_make(&file);
		elf_header(&file)->e_entry = bad[i];
		check_refused("entry point");
	}
	elf_make(&file);
	for (unsigned i = 0; i < ELF_SEGMENTS; i++)
		elf_segment(&file, i)->p_type = PT_NOTE;
	check_refused("entry point");
}

static void check_foreign(const void *head, size_t bytes, const char *part)
{
	memset(&file, 0, sizeof(file));
	memcpy(file.data, head, bytes);
	kernel_file_check_refused(&file, 4096, part);
	kernel_file_check_refused(&file, bytes, "expected a bzImage or an ELF vmlinux for x86-64");
}

static void test_foreign_files(void)
{
	uint8_t arm64[64] = { 0 }, disk[2048] = { 0 };

	check_foreign("\x1f\x8b\x08", 3, "this is a gzip file");
	check_foreign("\xfd"
		      "7zXZ",
		      6, "this is an xz file");
	check_foreign("\x28\xb5\x2f\xfd", 4, "this is a zstd file");
	check_foreign("QFI\xfb", 4, "this is a qcow2 disk image");
	check_foreign("vhdxfile", 8, "this is a VHDX disk image");
	check_foreign("070701", 6, "this is a cpio archive, such as an initrd");
	check_foreign("#!/bin/sh\n", 10, "this is a script");
	check_foreign("hello, world\n", 13, "expected a bzImage");
	check_foreign("MZ", 2, "this is an EFI or DOS program");
	memcpy(arm64 + 0x38, "ARM\x64", 4);
	check_foreign(arm64, sizeof(arm64), "this is an arm64 kernel");
	memcpy(disk + 510, "\x55\xaa", 2);
	check_foreign(disk, sizeof(disk), "this is a disk image with a boot sector");
	memcpy(disk + 1024 + 56, "\x53\xef", 2);
	check_foreign(disk, sizeof(disk), "this is an ext2, ext3 or ext4 file system");
}

static void check_not_openable(const char *path, const char *part)
{
	struct input_file input;
	struct error_text error;

	CHECK(!input_file_open(&input, path, &error));
	CHECK_HAS(error.text, part);
}

static void test_files_that_are_none(void)
{
	char dir[] = "/tmp/vmm-test-XXXXXX", path[64];
	struct input_file input;
	struct error_text error;

	CHECK(mkdtemp(dir) != NULL);
	check_not_openable(dir, "a directory");
	snprintf(path, sizeof(path), "%s/file", dir);
	check_not_openable(path, "No such file");
	CHECK(mkfifo(path, 0600) == 0);
	check_not_openable(path, "device, pipe or socket"); /* and does not wait for a writer */
	CHECK(unlink(path) == 0);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	check_not_openable(path, "the file is empty");
	CHECK(truncate(path, 77) == 0);
	CHECK(input_file_open(&input, path, &error));
	CHECK_EQ(input.bytes, 77);
	input_file_close(&input);
	CHECK(unlink(path) == 0 && rmdir(dir) == 0);
	check_not_openable("/dev/null", "device, pipe or socket");
}

int main(void)
{
	RUN(test_good);
	RUN(test_truncated_everywhere);
	RUN(test_foreign_elf);
	RUN(test_program_header_table);
	RUN(test_segment_in_the_file);
	RUN(test_segment_in_memory);
	RUN(test_whole_need_at_once);
	RUN(test_initrd_out_of_reach);
	RUN(test_entry);
	RUN(test_foreign_files);
	RUN(test_files_that_are_none);
	return 0;
}
