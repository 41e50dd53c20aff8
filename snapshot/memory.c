/* SPDX-License-Identifier: MIT */
#include "snapshot/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mem/page.h"

#define PIECE_PAGES 512u

/* The table tells whoever opened it with CAP_SYS_ADMIN where each page lies in the host: nobody here needs to know. */
int snapshot_memory_open_pages(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct all[2], fewer[2];

	if (syscall(SYS_capget, &header, all) < 0)
		return -1;
	memcpy(fewer, all, sizeof(fewer));
	fewer[0].effective &= ~(1u << CAP_SYS_ADMIN);
	if (syscall(SYS_capset, &header, fewer) < 0)
		return -1;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	syscall(SYS_capset, &header, all);
	return fd;
}

/* /proc/self/pagemap (Linux Documentation/admin-guide/mm/pagemap.rst): a word for each page. */
bool snapshot_memory_read_pages(int pages_fd, const uint8_t *at, uint64_t *flags, size_t n)
{
	return pread(pages_fd, flags, n * sizeof(*flags),
		     (off_t)((uintptr_t)at / PAGE_BYTES * sizeof(*flags))) ==
	       (ssize_t)(n * sizeof(*flags));
}

/* What the file has at or after an offset of the memory. */
struct origin {
	int fd;
	uint64_t offset, start, end;
};

/* Advances to the stretch of data that ends behind `at`. */
static void find_data(struct origin *origin, uint64_t at)
{
	if (origin->fd < 0 || at < origin->end)
		return;
	off_t start = lseek(origin->fd, (off_t)(origin->offset + at), SEEK_DATA);
	off_t end = start < 0 ? -1 : lseek(origin->fd, start, SEEK_HOLE);
	if (start < 0 && errno == ENXIO) {
		origin->start = origin->end = UINT64_MAX;
		return;
	}
	/* A file system that knows no holes has data everywhere. */
	origin->start = start < 0 ? at : (uint64_t)start - origin->offset;
	origin->end = end < 0 ? UINT64_MAX : (uint64_t)end - origin->offset;
}

typedef uint64_t pair __attribute__((vector_size(16)));

/* By pairs of words, 256 bytes at once: musl compares bytes, and huge pages hold many pages of zeroes. */
static bool is_zero(const uint8_t *page)
{
	const pair *at = (const pair *)page, *end = at + PAGE_BYTES / sizeof(*at);

	for (; at < end; at += 16) {
		pair any = at[0] | at[1] | at[2] | at[3] | at[4] | at[5] | at[6] | at[7] | at[8] |
			   at[9] | at[10] | at[11] | at[12] | at[13] | at[14] | at[15];
		if (any[0] | any[1])
			return false;
	}
	return true;
}

void snapshot_memory_write(struct snapshot_writer *writer, const struct guest_memory *memory,
			   int pages_fd, int origin_fd, uint64_t origin_offset)
{
	struct origin origin = { .fd = origin_fd, .offset = origin_offset };
	uint64_t flags[PIECE_PAGES], run = 0; /* bytes that wait, before `at` */

	for (uint64_t at = 0; at <= memory->bytes; at += PAGE_BYTES) {
		unsigned i = at / PAGE_BYTES % PIECE_PAGES;
		if (i == 0 &&
		    !snapshot_memory_read_pages(pages_fd, memory->host + at, flags, PIECE_PAGES))
			memset(flags, 0xff, sizeof(flags));
		bool used = at < memory->bytes;
		if (used && !(flags[i] & (SNAPSHOT_PAGE_IS_PRESENT | SNAPSHOT_PAGE_IS_SWAPPED))) {
			find_data(&origin, at);
			used = at >= origin.start && at < origin.end;
		}
		/* The last one gives the file its length: to truncate is more than a confined process may do. */
		bool last = at + PAGE_BYTES == memory->bytes;
		if (last || (used && !is_zero(memory->host + at))) {
			run += PAGE_BYTES;
		} else if (run > 0) {
			snapshot_writer_add_memory(writer, memory->host + at - run, run, at - run);
			run = 0;
		}
	}
}
