/* SPDX-License-Identifier: MIT */
/* bzImages, good and damaged (bug class 23). */
#include "boot/kernel_load.h"

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

	bzimage_make(&file);
	CHECK(guest_memory_map(&memory, 64 * MIB));
	CHECK(kernel_file_load(&file, file.bytes, &memory, &image, &error));
	CHECK_EQ(image.entry_gpa, BZIMAGE_LOAD_GPA + 0x200);
	CHECK_EQ(image.end_gpa, BZIMAGE_LOAD_GPA + BZIMAGE_INIT_SIZE);
	CHECK_EQ(image.initrd_max_gpa, 0x7fffffff);
	CHECK_EQ(image.cmdline_max_bytes, 2047);
	CHECK_BYTES(&image.setup_header, bzimage_header(&file), sizeof(image.setup_header));
	CHECK_BYTES(memory.host + BZIMAGE_LOAD_GPA, file.data + BZIMAGE_CODE_OFFSET,
		    BZIMAGE_CODE_BYTES);
	CHECK_FILLED(memory.host, 0, BZIMAGE_LOAD_GPA);
	uint64_t end = BZIMAGE_LOAD_GPA + BZIMAGE_CODE_BYTES;
	CHECK_FILLED(memory.host + end, 0, memory.bytes - end);
	guest_memory_unmap(&memory);
}

/* Cut at every length: only the whole file loads (or one whose last paragraph is not full). */
static void test_truncated_everywhere(void)
{
	struct guest_memory memory;
	struct kernel_image image;
	struct error_text error;

	bzimage_make(&file);
	for (size_t bytes = 1; bytes < file.bytes - 15; bytes += bytes < 0x300 ? 1 : 61)
		kernel_file_check_refused(&file, bytes, "");
	kernel_file_check_refused(&file, 0x1f0, "expected a bzImage or an ELF");
	kernel_file_check_refused(&file, 0x206, "boot protocol");
	kernel_file_check_refused(&file, BZIMAGE_CODE_OFFSET - 1, "truncated");
	kernel_file_check_refused(&file, BZIMAGE_CODE_OFFSET, "truncated");
	kernel_file_check_refused(&file, file.bytes - 16, "truncated");
	CHECK(guest_memory_map(&memory, 64 * MIB));
	CHECK(kernel_file_load(&file, file.bytes - 15, &memory, &image, &error));
	CHECK_EQ(memory.host[BZIMAGE_LOAD_GPA + BZIMAGE_CODE_BYTES - 15], 0);
	CHECK(memory.host[BZIMAGE_LOAD_GPA + BZIMAGE_CODE_BYTES - 16] != 0);
	guest_memory_unmap(&memory);
}

static void test_what_follows_the_code_is_not_loaded(void)
{
	struct guest_memory memory;
	struct kernel_image image;
	struct error_text error;

	bzimage_make(&file);
	memset(file.data + file.bytes, 0xee, 4096);
	CHECK(guest_memory_map(&memory, 64 * MIB));
	CHECK(kernel_file_load(&file, file.bytes + 4096, &memory, &image, &error));
	CHECK_EQ(memory.host[BZIMAGE_LOAD_GPA + BZIMAGE_CODE_BYTES], 0);
	guest_memory_unmap(&memory);
}

/* setup_sects 0 stands for 4 (boot protocol, "setup_sects"). */
static void test_no_setup_sectors_means_four(void)
{
	struct guest_memory memory;
	struct kernel_image image;
	struct error_text error;

	bzimage_make(&file);
	bzimage_header(&file)->setup_sects = 0;
	bzimage_header(&file)->syssize -= 512 / 16;
	CHECK(guest_memory_map(&memory, 64 * MIB));
	CHECK(kernel_file_load(&file, file.bytes, &memory, &image, &error));
	CHECK_BYTES(memory.host + BZIMAGE_LOAD_GPA, file.data + 5 * 512, BZIMAGE_CODE_BYTES - 512);
	guest_memory_unmap(&memory);
}

static void test_kinds_that_cannot_boot(void)
{
	bzimage_make(&file);
	bzimage_header(&file)->version = 0x020b;
	check_refused("boot protocol 2.11");
	bzimage_header(&file)->version = 0;
	check_refused("boot protocol 0.00");
	bzimage_make(&file);
	bzimage_header(&file)->loadflags = 0;
	check_refused("zImage");
	bzimage_make(&file);
	bzimage_header(&file)->xloadflags = 0;
	check_refused("32-bit bzImage");
	bzimage_make(&file);
	file.data[0x201] = 0; /* a header that ends at 0x202 has no fields behind it */
	check_refused("boot protocol");
}

static void test_code_size(void)
{
	static const uint32_t sizes[] = { 0x80000000, 0xffffffff, 0x10000000, 0x0fffffff,
					  BZIMAGE_CODE_BYTES / 16 + 1 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		bzimage_make(&file);
		bzimage_header(&file)->syssize = sizes[i];
		check_refused("truncated");
	}
	bzimage_make(&file);
	bzimage_header(&file)->syssize = 0;
	check_refused("damaged bzImage");
	bzimage_header(&file)->syssize = 0x1f; /* does not reach the entry */
	check_refused("damaged bzImage");
	bzimage_make(&file);
	bzimage_header(&file)->setup_sects = 255;
	check_refused("truncated");
}

static void test_place(void)
{
	static const uint64_t bad[] = {
		0,
		1,
		0xfffff,
		0x40000000,
		0xffffffff,
		0x100000000,
		0x7fffffffffffffff,
		0xffffffffffffffff,
		0xfffffffffff00000,
		0x3fffffff,
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bzimage_make(&file);
		bzimage_header(&file)->pref_address = bad[i];
		check_refused("between 1 MiB and 1 GiB");
	}
	bzimage_make(&file);
	bzimage_header(&file)->pref_address = 64 * MIB;
	check_refused("it needs at least --mem 66M");
	bzimage_header(&file)->pref_address = 64 * MIB - BZIMAGE_INIT_SIZE + 1;
	check_refused("it needs at least --mem 65M");
}

static void test_init_size(void)
{
	struct guest_memory memory;
	struct kernel_image image;
	struct error_text error;

	bzimage_make(&file);
	bzimage_header(&file)->init_size = 0xffffffff;
	check_refused("between 1 MiB and 1 GiB");
	bzimage_header(&file)->init_size = 49 * MIB;
	check_refused("it needs at least --mem 65M");
	CHECK(guest_memory_map(&memory, 64 * MIB));
	bzimage_header(&file)->init_size = 48 * MIB; /* exactly to the end of RAM */
	CHECK(kernel_file_load(&file, file.bytes, &memory, &image, &error));
	CHECK_EQ(image.end_gpa, 64 * MIB);
	bzimage_header(&file)->init_size = 0; /* the code itself counts */
	CHECK(kernel_file_load(&file, file.bytes, &memory, &image, &error));
	CHECK_EQ(image.end_gpa, BZIMAGE_LOAD_GPA + BZIMAGE_CODE_BYTES);
	guest_memory_unmap(&memory);
}

/* The file shrinks between opening and loading. */
static void test_file_cut_meanwhile(void)
{
	struct guest_memory memory;
	struct kernel_image image;
	struct error_text error;

	bzimage_make(&file);
	struct input_file input = { .fd = check_memory_file(file.data, file.bytes),
				    .bytes = file.bytes };
	CHECK(guest_memory_map(&memory, 64 * MIB));
	CHECK(ftruncate(input.fd, BZIMAGE_CODE_OFFSET + 4096) == 0);
	CHECK(!kernel_load(&image, &memory, &input, 0, &error));
	CHECK_HAS(error.text, "became shorter");
	input_file_close(&input);
	guest_memory_unmap(&memory);
}

int main(void)
{
	RUN(test_good);
	RUN(test_truncated_everywhere);
	RUN(test_what_follows_the_code_is_not_loaded);
	RUN(test_no_setup_sectors_means_four);
	RUN(test_kinds_that_cannot_boot);
	RUN(test_code_size);
	RUN(test_place);
	RUN(test_init_size);
	RUN(test_file_cut_meanwhile);
	return 0;
}
