/* SPDX-License-Identifier: MIT */
/*
 * The pages that a clone touches first, as a snapshot's file tells them: behind the header, on its page. A hint: where it is missing
 * or damaged, a clone is slower and not wrong.
 */
#ifndef SNAPSHOT_TOUCHED_H
#define SNAPSHOT_TOUCHED_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "mem/guest_memory.h"

#define TOUCHED_FILE_OFFSET 512u
#define TOUCHED_MAX         892u

/* A guest-physical address's bits 12 to 42, and whether it is written to. The neighbours of a page that is only read count as read,
 * up to 64 KiB's end: the host maps them with it. */
#define TOUCHED_IS_WRITTEN (1u << 31)

struct touched_pages {
	uint64_t checksum; /* of what follows */
	uint32_t n, zero;
	uint32_t pages[TOUCHED_MAX];
};
static_assert(TOUCHED_FILE_OFFSET + sizeof(struct touched_pages) == 4096, "part of the file");

/* What this process has touched since the memory was mapped from fd at offset, in those 2 MiB of which the file has anything: to ask for each
 * of a large guest's pages takes long. pages_fd: of snapshot_memory_open_pages(). */
void touched_pages_collect(struct touched_pages *touched, const struct guest_memory *memory,
			   int pages_fd, int fd, uint64_t offset);

/* Their number. 0: there are none, or the list is damaged. */
unsigned touched_pages_count(const struct touched_pages *touched);

/* Of one in the list. */
uint64_t touched_page_gpa(uint32_t page);
uint64_t touched_page_bytes(uint32_t page); /* with its neighbours */

/* False: there is no list. Makes them present, until *stop: of those that are written to, so many get a copy of their own. No harm is done where there is no such
 * page. Any thread. */
bool touched_pages_populate(const struct touched_pages *touched, const struct guest_memory *memory,
			    unsigned max_copies, const atomic_bool *stop);

#endif
