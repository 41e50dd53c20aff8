/* SPDX-License-Identifier: MIT */
/* The guest's memory, as a snapshot's file has it: mapped from one, and written to one. */
#ifndef SNAPSHOT_MEMORY_H
#define SNAPSHOT_MEMORY_H

#include "mem/guest_memory.h"
#include "snapshot/file.h"

/* A table of the process's pages for snapshot_memory_write(), opened while files can be. -1: there is none; then every page is
 * looked at. */
int snapshot_memory_open_pages(void);

/* Of n pages of this process from `at` on. False: there is no table. */
#define SNAPSHOT_PAGE_IS_PRESENT (1ull << 63)
#define SNAPSHOT_PAGE_IS_SWAPPED (1ull << 62)
#define SNAPSHOT_PAGE_IS_FILES   (1ull << 61) /* the file's own, not a copy */
bool snapshot_memory_read_pages(int pages_fd, const uint8_t *at, uint64_t *flags, size_t n);

/* Writes the pages that are not zero. Those that the guest has never had are passed by: where the process has none, and the file
 * that the memory was mapped from, at origin_offset, none either (origin_fd -1: none). No vCPU and no device writes to memory
 * meanwhile. */
void snapshot_memory_write(struct snapshot_writer *writer, const struct guest_memory *memory,
			   int pages_fd, int origin_fd, uint64_t origin_offset);

#endif
