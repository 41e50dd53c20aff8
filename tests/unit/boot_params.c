/* SPDX-License-Identifier: MIT */
/* initrd placement, the zero page and its e820 map. */
#include "boot/boot_params.h"

#include "mem/layout.h"
#include "tests/unit/check.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static struct guest_memory memory;
static struct error_text error;

static struct kernel_image an_image(void)
{
	struct kernel_image image = { .entry_gpa = 16 * MIB,
				      .end_gpa = 20 * MIB + 1,
				      .initrd_max_gpa = 0x7fffffff,
				      .cmdline_max_bytes = 2047 };

	image.setup_header.header = 0x53726448;
	image.setup_header.initrd_addr_max = 0x12345678;
	return image;
}

/* Loads an initrd of `bytes` (sparse, with marks at both ends) into `mem_bytes` of memory. */
static bool load(uint64_t mem_bytes, uint64_t bytes, const struct kernel_image *image,
		 struct initrd *initrd)
{
	struct input_file file = { .fd = check_memory_file("first", 5), .bytes = bytes };

	CHECK(ftruncate(file.fd, (off_t)bytes) == 0);
	CHECK(pwrite(file.fd, "l", 1, (off_t)bytes - 1) == 1);
	CHECK(guest_memory_map(&memory, mem_bytes));
	bool loaded = initrd_load(initrd, &memory, image, &file, &error);
	if (loaded) {
		const uint8_t *host = guest_memory_at(&memory, initrd->gpa, bytes);
		CHECK(host != NULL);
		CHECK(bytes < 5 || memcmp(host, "first", 5) == 0);
		CHECK_EQ(host[bytes - 1], 'l');
		CHECK_EQ(initrd->bytes, bytes);
		CHECK_EQ(initrd->gpa % 4096, 0);
		CHECK(initrd->gpa >= image->end_gpa);
		CHECK(initrd->gpa + bytes - 1 <= image->initrd_max_gpa);
	}
	guest_memory_unmap(&memory);
	input_file_close(&file);
	return loaded;
}

static void test_initrd_is_high(void)
{
	struct kernel_image image = an_image();
	struct initrd initrd;

	CHECK(load(128 * MIB, 10000, &image, &initrd));
	CHECK_EQ(initrd.gpa, 128 * MIB - 3 * 4096);
	CHECK(load(128 * MIB, 4096, &image, &initrd));
	CHECK_EQ(initrd.gpa, 128 * MIB - 4096);
	CHECK(load(8 * GIB, 4096, &image, &initrd)); /* the kernel's limit */
	CHECK_EQ(initrd.gpa, 2 * GIB - 4096);
	image.initrd_max_gpa = 0xffffffff; /* the hole */
	CHECK(load(8 * GIB, 4096, &image, &initrd));
	CHECK_EQ(initrd.gpa, 3 * GIB - 4096);
	image.initrd_max_gpa = 0x37ffffff;
	CHECK(load(1 * GIB, 1, &image, &initrd));
	CHECK_EQ(initrd.gpa, 0x38000000 - 4096);
	image.initrd_max_gpa = 0x37fffffe; /* not even the last byte of the page */
	CHECK(load(1 * GIB, 4095, &image, &initrd));
	CHECK_EQ(initrd.gpa, 0x37fff000);
	CHECK(load(1 * GIB, 4096, &image, &initrd));
	CHECK_EQ(initrd.gpa, 0x37ffe000);
}

static void test_initrd_exactly_fits(void)
{
	struct kernel_image image = an_image();
	struct initrd initrd;
	uint64_t floor = 20 * MIB + 4 * KIB; /* the kernel's end, rounded up */

	CHECK(load(64 * MIB, 64 * MIB - floor, &image, &initrd));
	CHECK_EQ(initrd.gpa, floor);
	CHECK(!load(64 * MIB, 64 * MIB - floor + 1, &image, &initrd));
	CHECK_HAS(error.text, "do not fit between the kernel's end at 20M and 64M");
}

static void test_initrd_too_large(void)
{
	struct kernel_image image = an_image();
	struct initrd initrd;

	CHECK(!load(64 * MIB, 64 * MIB, &image, &initrd));
	CHECK(!load(64 * MIB, 5 * GIB, &image, &initrd));
	CHECK(!load(8 * GIB, 5 * GIB, &image, &initrd));
	CHECK(!load(8 * GIB, 1024 * GIB, &image, &initrd));
	image.initrd_max_gpa = 0;
	CHECK(!load(64 * MIB, 1, &image, &initrd));
	image.initrd_max_gpa = 20 * MIB;
	CHECK(!load(64 * MIB, 1, &image, &initrd));
	image = an_image();
	image.end_gpa = 64 * MIB;
	CHECK(!load(64 * MIB, 1, &image, &initrd));
}

static void test_initrd_cut_meanwhile(void)
{
	struct kernel_image image = an_image();
	struct initrd initrd;
	struct input_file file = { .fd = check_memory_file("first", 5), .bytes = 6 };

	CHECK(guest_memory_map(&memory, 64 * MIB));
	CHECK(!initrd_load(&initrd, &memory, &image, &file, &error));
	CHECK_HAS(error.text, "became shorter");
	guest_memory_unmap(&memory);
	input_file_close(&file);
}

struct region {
	uint64_t gpa, bytes;
	uint32_t type;
};

/* The map that `mem_bytes` must give, and nothing else. */
static void check_e820(uint64_t mem_bytes, const struct region *expected, unsigned n)
{
	struct kernel_image image = an_image();
	struct initrd initrd = { 0 };
	struct boot_params params;

	CHECK(guest_memory_map(&memory, mem_bytes));
	CHECK(boot_params_write(&memory, &image, &initrd, "", 0, &error));
	CHECK(guest_memory_read(&memory, LAYOUT_ZERO_PAGE_GPA, &params, sizeof(params)));
	CHECK_EQ(params.e820_entries, n);
	for (unsigned i = 0; i < n; i++) {
		CHECK_EQ(params.e820_table[i].addr, expected[i].gpa);
		CHECK_EQ(params.e820_table[i].size, expected[i].bytes);
		CHECK_EQ(params.e820_table[i].type, expected[i].type);
	}
	guest_memory_unmap(&memory);
}

#define LOW_REGIONS                                                                                \
	{ 0, 0x9fc00, 1 },                                                                         \
	{                                                                                          \
		0x9fc00, 0x100000 - 0x9fc00, 2                                                     \
	}

static void test_e820(void)
{
	check_e820(2 * MIB, (struct region[]){ LOW_REGIONS, { MIB, MIB, 1 } }, 3);
	check_e820(128 * MIB, (struct region[]){ LOW_REGIONS, { MIB, 127 * MIB, 1 } }, 3);
	check_e820(3 * GIB, (struct region[]){ LOW_REGIONS, { MIB, 3 * GIB - MIB, 1 } }, 3);
	check_e820(
		3 * GIB + 4096,
		(struct region[]){ LOW_REGIONS, { MIB, 3 * GIB - MIB, 1 }, { 4 * GIB, 4096, 1 } },
		4);
	check_e820(3500 * MIB,
		   (struct region[]){
			   LOW_REGIONS, { MIB, 3 * GIB - MIB, 1 }, { 4 * GIB, 428 * MIB, 1 } },
		   4);
	check_e820(64 * GIB,
		   (struct region[]){
			   LOW_REGIONS, { MIB, 3 * GIB - MIB, 1 }, { 4 * GIB, 61 * GIB, 1 } },
		   4);
	check_e820(4 * GIB,
		   (struct region[]){ LOW_REGIONS, { MIB, 3 * GIB - MIB, 1 }, { 4 * GIB, GIB, 1 } },
		   4);
	check_e820(8 * GIB,
		   (struct region[]){
			   LOW_REGIONS, { MIB, 3 * GIB - MIB, 1 }, { 4 * GIB, 5 * GIB, 1 } },
		   4);
}

static void test_zero_page(void)
{
	struct kernel_image image = an_image();
	struct initrd initrd = { 0x7654000, 0x1234567 };
	struct boot_params params;

	CHECK(guest_memory_map(&memory, 128 * MIB));
	CHECK(boot_params_write(&memory, &image, &initrd, "quiet root=/dev/vda", 0xe0000, &error));
	CHECK(guest_memory_read(&memory, LAYOUT_ZERO_PAGE_GPA, &params, sizeof(params)));
	CHECK_EQ(params.hdr.type_of_loader, 0xff);
	CHECK_EQ(params.hdr.header, 0x53726448);
	CHECK_EQ(params.hdr.initrd_addr_max, 0x12345678); /* the file's header goes along */
	CHECK_EQ(params.hdr.ramdisk_image, 0x7654000);
	CHECK_EQ(params.hdr.ramdisk_size, 0x1234567);
	CHECK_EQ(params.hdr.cmd_line_ptr, LAYOUT_CMDLINE_GPA);
	CHECK_EQ(params.acpi_rsdp_addr, 0xe0000);
	CHECK_EQ(offsetof(struct boot_params, acpi_rsdp_addr), 0x70); /* as the protocol has it */
	CHECK_STRING((const char *)memory.host + LAYOUT_CMDLINE_GPA, "quiet root=/dev/vda");
	guest_memory_unmap(&memory);
}

static void test_command_line_limit(void)
{
	struct kernel_image image = an_image();
	struct initrd initrd = { 0 };

	image.cmdline_max_bytes = 5;
	CHECK(guest_memory_map(&memory, 128 * MIB));
	CHECK(boot_params_write(&memory, &image, &initrd, "12345", 0, &error));
	CHECK(!boot_params_write(&memory, &image, &initrd, "123456", 0, &error));
	CHECK_HAS(error.text, "this kernel takes 5");
	CHECK_STRING((const char *)memory.host + LAYOUT_CMDLINE_GPA, "12345");
	guest_memory_unmap(&memory);
}

int main(void)
{
	RUN(test_initrd_is_high);
	RUN(test_initrd_exactly_fits);
	RUN(test_initrd_too_large);
	RUN(test_initrd_cut_meanwhile);
	RUN(test_e820);
	RUN(test_zero_page);
	RUN(test_command_line_limit);
	return 0;
}
