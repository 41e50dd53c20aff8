/* SPDX-License-Identifier: MIT */
#include "snapshot/touched.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "mem/page.h"
#include "snapshot/file.h"
#include "snapshot/memory.h"

#define PIECE_PAGES 512u
#define PIECE_BYTES ((uint64_t)PIECE_PAGES * PAGE_BYTES)

/* What the host maps at once, of what is in its page cache (fault_around_bytes). */
#define AROUND_BYTES 65536u

static uint64_t checksum(const struct touched_pages *touched)
{
	return snapshot_checksum(&touched->n, sizeof(*touched) - offsetof(struct touched_pages, n));
}

/* What the process has of one piece. False: nobody tells. */
static bool collect_piece(struct touched_pages *touched, const struct guest_memory *memory,
			  uint64_t start, int pages_fd)
{
	uint64_t flags[PIECE_PAGES], next_read = start;

	if (!snapshot_memory_read_pages(pages_fd, memory->host + start, flags, PIECE_PAGES))
		return false;
	for (uint64_t at = start; at < start + PIECE_BYTES; at += PAGE_BYTES) {
		uint64_t flag = flags[(at - start) / PAGE_BYTES];
		if (!(flag & SNAPSHOT_PAGE_IS_PRESENT) || touched->n == TOUCHED_MAX)
			continue;
		uint32_t page = (uint32_t)(guest_memory_gpa(memory, at) / PAGE_BYTES);
		if (!(flag & SNAPSHOT_PAGE_IS_FILES)) {
			touched->pages[touched->n++] = page | TOUCHED_IS_WRITTEN;
		} else if (at >= next_read) {
			touched->pages[touched->n++] = page;
			next_read = (at / AROUND_BYTES + 1) * AROUND_BYTES;
		}
	}
	return true;
}

void touched_pages_collect(struct touched_pages *touched, const struct guest_memory *memory,
			   int pages_fd, int fd, uint64_t offset)
{
	off_t data = (off_t)offset;

	memset(touched, 0, sizeof(*touched));
	while ((data = lseek(fd, data, SEEK_DATA)) >= 0) {
		uint64_t start = ((uint64_t)data - offset) & ~(PIECE_BYTES - 1);
		if (start >= memory->bytes || !collect_piece(touched, memory, start, pages_fd))
			break;
		data = (off_t)(offset + start + PIECE_BYTES);
	}
	touched->checksum = checksum(touched);
}

unsigned touched_pages_count(const struct touched_pages *touched)
{
	return touched->n > TOUCHED_MAX || touched->checksum != checksum(touched) ? 0 : touched->n;
}

uint64_t touched_page_gpa(uint32_t page)
{
	return (uint64_t)(page & ~TOUCHED_IS_WRITTEN) * PAGE_BYTES;
}

uint64_t touched_page_bytes(uint32_t page)
{
	return page & TOUCHED_IS_WRITTEN ? PAGE_BYTES
					 : AROUND_BYTES - touched_page_gpa(page) % AROUND_BYTES;
}

bool touched_pages_populate(const struct touched_pages *touched, const struct guest_memory *memory,
			    unsigned max_copies, const atomic_bool *stop)
{
	unsigned n = touched_pages_count(touched);
	uint8_t byte;

	for (unsigned i = 0; i < n && !atomic_load(stop); i++) {
		uint64_t gpa = touched_page_gpa(touched->pages[i]);
		if (!(touched->pages[i] & TOUCHED_IS_WRITTEN)) {
			guest_memory_read(memory, gpa, &byte, sizeof(byte));
		} else if (max_copies > 0) {
			guest_memory_populate(memory, gpa);
			max_copies--;
		}
	}
	return n > 0;
}
