/* SPDX-License-Identifier: MIT */
/* The list of the pages that a clone touches first: what a process has read and written of a file's memory gets into it, becomes present
 * elsewhere, and a list that says anything harms nothing. */
#include "snapshot/touched.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "mem/layout.h"
#include "mem/page.h"
#include "snapshot/file.h"
#include "snapshot/memory.h"
#include "tests/unit/check.h"

#define MIB          ((uint64_t)1 << 20)
#define MEMORY_BYTES (16 * MIB)
#define FILE_OFFSET  (2 * MIB)

static const atomic_bool never = false, at_once = true;
static struct guest_memory memory;
static struct touched_pages touched;
static int memory_fd, pages_fd;

/* Of a file that has something in each page of its first 8 MiB, and then a hole. */
static void map_memory(void)
{
	char path[] = "/tmp/touched-unit-XXXXXX";
	memory_fd = mkstemp(path);

	CHECK(memory_fd >= 0 && unlink(path) == 0);
	for (uint64_t at = 0; at < 8 * MIB; at += PAGE_BYTES)
		CHECK_EQ(pwrite(memory_fd, "x", 1, (off_t)(FILE_OFFSET + at)), 1);
	CHECK(ftruncate(memory_fd, (off_t)(FILE_OFFSET + MEMORY_BYTES)) == 0);
	CHECK(guest_memory_map_file(&memory, MEMORY_BYTES, memory_fd, FILE_OFFSET));
	CHECK(madvise(memory.host, MEMORY_BYTES, MADV_NOHUGEPAGE) == 0);
}

static void unmap_memory(void)
{
	guest_memory_unmap(&memory);
	close(memory_fd);
}

static void collect(void)
{
	touched_pages_collect(&touched, &memory, pages_fd, memory_fd, FILE_OFFSET);
}

static bool has(uint32_t page)
{
	for (unsigned i = 0; i < touched_pages_count(&touched); i++)
		if (touched.pages[i] == page)
			return true;
	return false;
}

static void write_to(uint64_t gpa)
{
	CHECK(guest_memory_write(&memory, gpa, "y", 1));
}

static void read_from(uint64_t gpa)
{
	char byte;

	CHECK(guest_memory_read(&memory, gpa, &byte, 1));
}

static uint64_t flags_of(uint64_t gpa)
{
	uint64_t flags;

	CHECK(snapshot_memory_read_pages(pages_fd, guest_memory_at(&memory, gpa, 1), &flags, 1));
	return flags;
}

static bool is_present(uint64_t gpa)
{
	return flags_of(gpa) & SNAPSHOT_PAGE_IS_PRESENT;
}

static bool is_own(uint64_t gpa)
{
	return is_present(gpa) && !(flags_of(gpa) & SNAPSHOT_PAGE_IS_FILES);
}

/* The first of the 16 pages that the host maps at once is the one that is named. */
static void collected(void)
{
	map_memory();
	collect();
	CHECK_EQ(touched_pages_count(&touched), 0);
	write_to(0x3000);
	write_to(0x212345);
	read_from(0x400000 + 5 * PAGE_BYTES);
	read_from(0x400000 + 16 * PAGE_BYTES);
	write_to(0x400000 + 17 * PAGE_BYTES);
	collect();
	CHECK(has(0x3 | TOUCHED_IS_WRITTEN) && has(0x212 | TOUCHED_IS_WRITTEN) &&
	      has(0x411 | TOUCHED_IS_WRITTEN));
	CHECK(has(0x400) || has(0x405));
	CHECK(has(0x410));
	CHECK_EQ(touched_pages_count(&touched), 5);
	/* Where the file has nothing, nobody looks. */
	write_to(12 * MIB);
	collect();
	CHECK_EQ(touched_pages_count(&touched), 5);
	unmap_memory();
}

static void no_table(void)
{
	map_memory();
	write_to(0);
	touched_pages_collect(&touched, &memory, -1, memory_fd, FILE_OFFSET);
	CHECK_EQ(touched_pages_count(&touched), 0);
	touched_pages_collect(&touched, &memory, pages_fd, -1, FILE_OFFSET);
	CHECK_EQ(touched_pages_count(&touched), 0);
	unmap_memory();
}

static void too_many(void)
{
	map_memory();
	for (uint64_t gpa = 0; gpa < 8 * MIB; gpa += PAGE_BYTES)
		write_to(gpa);
	collect();
	CHECK_EQ(touched_pages_count(&touched), TOUCHED_MAX);
	CHECK_EQ(touched.pages[TOUCHED_MAX - 1], (TOUCHED_MAX - 1) | TOUCHED_IS_WRITTEN);
	unmap_memory();
}

/* The hole below 4 GiB is none in the file. */
static void above_4g(void)
{
	uint64_t low = LAYOUT_MMIO_HOLE_GPA;
	char path[] = "/tmp/touched-unit-XXXXXX";
	memory_fd = mkstemp(path);

	CHECK(memory_fd >= 0 && unlink(path) == 0);
	CHECK(ftruncate(memory_fd, (off_t)(low + 4 * MIB)) == 0);
	CHECK_EQ(pwrite(memory_fd, "x", 1, (off_t)(low + 2 * MIB)), 1);
	CHECK(guest_memory_map_file(&memory, low + 4 * MIB, memory_fd, 0));
	write_to(LAYOUT_ABOVE_4G_GPA + 2 * MIB);
	touched_pages_collect(&touched, &memory, pages_fd, memory_fd, 0);
	CHECK_EQ(touched_pages_count(&touched), 1);
	CHECK_EQ(touched.pages[0],
		 (LAYOUT_ABOVE_4G_GPA + 2 * MIB) / PAGE_BYTES | TOUCHED_IS_WRITTEN);
	unmap_memory();
}

/* One that is read stands for what the host maps with it. */
static void ranges(void)
{
	CHECK_EQ(touched_page_gpa(0x123 | TOUCHED_IS_WRITTEN), 0x123000);
	CHECK_EQ(touched_page_bytes(0x123 | TOUCHED_IS_WRITTEN), PAGE_BYTES);
	CHECK_EQ(touched_page_gpa(0x123), 0x123000);
	CHECK_EQ(touched_page_bytes(0x123), 13 * PAGE_BYTES);
	CHECK_EQ(touched_page_bytes(0x12f), PAGE_BYTES);
	CHECK_EQ(touched_page_gpa(~TOUCHED_IS_WRITTEN), 0x7fffffff000);
}

static void populated(void)
{
	map_memory();
	write_to(0x3000);
	write_to(0x5000);
	read_from(0x400000);
	collect();
	unmap_memory();
	map_memory();
	touched_pages_populate(&touched, &memory, 10, &at_once);
	CHECK(!is_present(0x3000));
	touched_pages_populate(&touched, &memory, 1, &never);
	CHECK(is_own(0x3000) && !is_present(0x5000) && is_present(0x400000) && !is_own(0x400000));
	touched_pages_populate(&touched, &memory, 10, &never);
	CHECK(is_own(0x5000) && !is_own(0x6000));
	unmap_memory();
}

static void seal(void)
{
	touched.checksum =
		snapshot_checksum(&touched.n, sizeof(touched) - sizeof(touched.checksum));
}

static void damaged(void)
{
	map_memory();
	memset(&touched, 0, sizeof(touched));
	CHECK_EQ(touched_pages_count(&touched), 0); /* as in a file without it */
	touched.n = 1;
	touched.pages[0] = TOUCHED_IS_WRITTEN;
	touched_pages_populate(&touched, &memory, 10, &never);
	CHECK(!is_present(0));
	touched.n = TOUCHED_MAX + 1;
	seal();
	CHECK_EQ(touched_pages_count(&touched), 0);
	touched.n = TOUCHED_MAX;
	for (unsigned i = 0; i < TOUCHED_MAX; i++)
		touched.pages[i] = i % 2 ? ~i : MEMORY_BYTES / PAGE_BYTES + i;
	seal();
	CHECK_EQ(touched_pages_count(&touched), TOUCHED_MAX);
	touched_pages_populate(&touched, &memory, TOUCHED_MAX, &never);
	for (uint64_t gpa = 0; gpa < MEMORY_BYTES; gpa += PAGE_BYTES)
		CHECK(!is_present(gpa));
	unmap_memory();
}

int main(void)
{
	pages_fd = snapshot_memory_open_pages();
	CHECK(pages_fd >= 0);
	RUN(collected);
	RUN(no_table);
	RUN(too_many);
	RUN(above_4g);
	RUN(ranges);
	RUN(populated);
	RUN(damaged);
	return 0;
}
