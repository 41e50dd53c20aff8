/* SPDX-License-Identifier: MIT */
/* Checksums as a writer would have set them: without, nothing behind them would be reached. */
#ifndef TESTS_FUZZ_SNAPSHOT_SECTIONS_H
#define TESTS_FUZZ_SNAPSHOT_SECTIONS_H

#include "snapshot/file.h"

/* The header's own, and that of each section as far as they follow one another. */
static inline void snapshot_set_checksums(struct snapshot_header *header, uint8_t *first,
					  uint64_t bytes)
{
	struct snapshot_section *section;

	for (uint64_t at = 0; bytes - at >= sizeof(*section);) {
		section = (void *)(first + at);
		at += sizeof(*section);
		if (section->bytes > bytes - at)
			break;
		section->checksum = snapshot_checksum(section + 1, section->bytes);
		at += (section->bytes + 7u) & ~7ull;
		if (at > bytes)
			break;
	}
	header->checksum = 0;
	header->checksum = snapshot_checksum(header, sizeof(*header));
}

#endif
