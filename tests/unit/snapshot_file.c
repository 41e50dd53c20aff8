/* SPDX-License-Identifier: MIT */
/* The snapshot's file: what is written is read; every byte of header and sections, changed, is refused with one text; memory's zeroes
 * are holes, and its pages are found wherever they come from. */
#include "snapshot/file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "mem/page.h"
#include "snapshot/memory.h"
#include "tests/unit/check.h"

#define MEMORY_PAGES 1200u

static const char text[] = "what a device knows";
static const uint64_t numbers[] = { 1, 2, 3 };
static struct error_text error;

static int make_fd(void)
{
	char path[] = "/tmp/snapshot-unit-XXXXXX";
	int fd = mkstemp(path);

	CHECK(fd >= 0 && unlink(path) == 0);
	return fd;
}

static struct guest_memory make_memory(void)
{
	struct guest_memory memory;

	CHECK(guest_memory_map(&memory, MEMORY_PAGES * PAGE_BYTES));
	return memory;
}

static struct snapshot_header write_file(int fd, const struct guest_memory *memory, int pages_fd)
{
	struct snapshot_header header = { .memory_bytes = memory->bytes, .n_cpus = 3 };
	struct snapshot_writer writer;

	snapshot_writer_begin(&writer, fd);
	snapshot_writer_add(&writer, SNAPSHOT_IRQCHIP, 0, numbers, sizeof(numbers));
	snapshot_writer_add(&writer, SNAPSHOT_BLOCK, 7, text, sizeof(text));
	snapshot_memory_write(&writer, memory, pages_fd, -1, 0);
	CHECK(snapshot_writer_end(&writer, &header));
	return header;
}

/* As --restore does. */
static bool read_file(int fd)
{
	struct snapshot_file file;
	size_t bytes;

	if (!snapshot_file_open(&file, NULL, fd, &error))
		return false;
	CHECK(snapshot_file_map_sections(&file, &error));
	const void *first =
		snapshot_file_take_exactly(&file, SNAPSHOT_IRQCHIP, 0, sizeof(numbers), &error);
	const void *second = first == NULL ? NULL
					   : snapshot_file_take(&file, SNAPSHOT_BLOCK, 7, 1, 100,
								&bytes, &error);
	bool right = second != NULL && snapshot_file_ends(&file, &error);
	if (right) {
		CHECK_BYTES(first, numbers, sizeof(numbers));
		CHECK_EQ(bytes, sizeof(text));
		CHECK_STRING((const char *)second, text);
	}
	CHECK(munmap((void *)(file.sections - SNAPSHOT_HEADER_BYTES),
		     SNAPSHOT_HEADER_BYTES + (size_t)file.header.sections_bytes) == 0);
	return right;
}

static void written_and_read(void)
{
	struct guest_memory memory = make_memory();
	int fd = make_fd();

	struct snapshot_header header = write_file(fd, &memory, -1);
	CHECK(read_file(fd));
	CHECK_EQ(header.memory_offset, SNAPSHOT_MEMORY_ALIGN);
	guest_memory_unmap(&memory);
	close(fd);
}

/* Every bit of what is not padding is looked at. */
static void damaged(void)
{
	struct guest_memory memory = make_memory();
	int fd = make_fd();
	struct snapshot_header header = write_file(fd, &memory, -1);
	uint64_t end = SNAPSHOT_HEADER_BYTES + header.sections_bytes;
	unsigned n = 0;

	for (uint64_t at = 0; at < end; at++) {
		uint8_t byte, changed;
		if (at == sizeof(header))
			at = SNAPSHOT_HEADER_BYTES;
		if (at >= end - 4) /* the padding */
			break;
		CHECK_EQ(pread(fd, &byte, 1, (off_t)at), 1);
		changed = byte ^ (uint8_t)(1u << at % 8);
		CHECK_EQ(pwrite(fd, &changed, 1, (off_t)at), 1);
		error.text[0] = '\0';
		CHECK(!read_file(fd));
		CHECK(strchr(error.text, '\n') == NULL);
		CHECK_HAS(error.text, "snapshot");
		CHECK_EQ(error.code, EXIT_BAD_INPUT);
		CHECK_EQ(pwrite(fd, &byte, 1, (off_t)at), 1);
		n++;
	}
	CHECK(n > 300);
	CHECK(read_file(fd));
	guest_memory_unmap(&memory);
	close(fd);
}

static void cut_short(void)
{
	struct guest_memory memory = make_memory();
	int fd = make_fd();
	struct snapshot_header header = write_file(fd, &memory, -1);
	const uint64_t lengths[] = { 0,
				     100,
				     sizeof(header),
				     4096,
				     5000,
				     header.memory_offset,
				     header.memory_offset + header.memory_bytes - 1,
				     header.memory_offset + header.memory_bytes + 1 };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		CHECK_EQ(ftruncate(fd, (off_t)lengths[i]), 0);
		CHECK(!read_file(fd));
		CHECK_HAS(error.text, "snapshot");
	}
	guest_memory_unmap(&memory);
	close(fd);
}

static void versions(void)
{
	struct snapshot_header header = { .magic = SNAPSHOT_MAGIC, .version = 77 };

	CHECK(!snapshot_header_check(&header, 4096, &error));
	CHECK_STRING(error.text, "the snapshot's format is version 77, this monitor's 1");
}

static void owners(void)
{
	struct guest_memory memory = make_memory();
	int fd = make_fd(), plain = memfd_create("plain", MFD_ALLOW_SEALING),
	    sealed = memfd_create("sealed", MFD_ALLOW_SEALING);

	write_file(fd, &memory, -1);
	CHECK_EQ(fchmod(fd, 0622), 0);
	CHECK(!read_file(fd));
	CHECK_HAS(error.text, "others may write to it (mode 622)");
	CHECK_EQ(fchmod(fd, 0644), 0);
	CHECK(read_file(fd));
	write_file(plain, &memory, -1);
	CHECK(!read_file(plain));
	CHECK_HAS(error.text, "sealed");
	write_file(sealed, &memory, -1);
	CHECK_EQ(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK), 0);
	CHECK(read_file(sealed));
	guest_memory_unmap(&memory);
	close(fd);
	close(plain);
	close(sealed);
}

/* In runs, alone, at both ends and around the table's pieces. */
static const unsigned used[] = { 0, 1, 2, 9, 511, 512, 513, 1023, 1100, MEMORY_PAGES - 1 };
#define USED (sizeof(used) / sizeof(used[0]))

static void fill(const struct guest_memory *memory)
{
	for (size_t i = 0; i < USED; i++)
		memset(memory->host + used[i] * PAGE_BYTES + i * 400, (int)i + 1, 96);
	/* Present, and zero. */
	memset(memory->host + 700 * PAGE_BYTES, 0, PAGE_BYTES);
}

static void check_clone(const struct guest_memory *memory, int fd, uint64_t offset)
{
	struct guest_memory clone;
	struct stat status;

	CHECK_EQ(fstat(fd, &status), 0);
	CHECK(status.st_blocks * 512 <= (off_t)((USED + 4) * PAGE_BYTES));
	CHECK(guest_memory_map_file(&clone, memory->bytes, fd, offset));
	CHECK_BYTES(clone.host, memory->host, memory->bytes);
	guest_memory_unmap(&clone);
}

static void pages(void)
{
	struct guest_memory memory = make_memory();
	int pages_fd = snapshot_memory_open_pages();

	CHECK(pages_fd >= 0);
	fill(&memory);
	for (int table = 0; table < 2; table++) {
		int fd = make_fd();
		struct snapshot_header header = write_file(fd, &memory, table ? pages_fd : -1);
		check_clone(&memory, fd, header.memory_offset);
		close(fd);
	}
	guest_memory_unmap(&memory);
	close(pages_fd);
}

/* Root, too, gets no addresses of the host's memory: whoever breaks into the monitor would have them. */
static void no_addresses_of_the_host(void)
{
	struct guest_memory memory = make_memory();
	int pages_fd = snapshot_memory_open_pages();
	uint64_t flags;

	memory.host[0] = 1;
	CHECK(pread(pages_fd, &flags, sizeof(flags),
		    (off_t)((uintptr_t)memory.host / PAGE_BYTES * sizeof(flags))) == sizeof(flags));
	CHECK_EQ(flags >> 63, 1); /* present */
	CHECK_EQ(flags & (((uint64_t)1 << 55) - 1), 0);
	close(pages_fd);
	guest_memory_unmap(&memory);
}

/* A clone has looked at few of its pages, and changed fewer: made zero, and written. */
static void pages_of_a_clone(void)
{
	struct guest_memory memory = make_memory(), clone;
	struct snapshot_writer writer;
	int pages_fd = snapshot_memory_open_pages(), fd = make_fd(), again = make_fd();

	fill(&memory);
	struct snapshot_header header = write_file(fd, &memory, pages_fd);
	CHECK(guest_memory_map_file(&clone, memory.bytes, fd, header.memory_offset));
	memset(clone.host + 1 * PAGE_BYTES, 0, PAGE_BYTES);
	memset(memory.host + 1 * PAGE_BYTES, 0, PAGE_BYTES);
	memset(clone.host + 5 * PAGE_BYTES, 5, 100);
	memset(memory.host + 5 * PAGE_BYTES, 5, 100);
	snapshot_writer_begin(&writer, again);
	snapshot_memory_write(&writer, &clone, pages_fd, fd, header.memory_offset);
	CHECK(snapshot_writer_end(&writer, &header));
	check_clone(&memory, again, header.memory_offset);
	guest_memory_unmap(&clone);
	guest_memory_unmap(&memory);
	close(fd);
	close(again);
	close(pages_fd);
}

static void full_disk(void)
{
	struct snapshot_header header = { .memory_bytes = 4096 };
	struct snapshot_writer writer;
	int fd = open("/dev/full", O_WRONLY);

	CHECK(fd >= 0);
	snapshot_writer_begin(&writer, fd);
	snapshot_writer_add(&writer, SNAPSHOT_CPU, 0, numbers, sizeof(numbers));
	CHECK(!snapshot_writer_end(&writer, &header));
	CHECK_EQ(errno, ENOSPC);
	close(fd);
}

int main(void)
{
	RUN(written_and_read);
	RUN(damaged);
	RUN(cut_short);
	RUN(versions);
	RUN(owners);
	RUN(pages);
	RUN(no_addresses_of_the_host);
	RUN(pages_of_a_clone);
	RUN(full_disk);
	return 0;
}
