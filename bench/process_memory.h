/* SPDX-License-Identifier: MIT */
/*
 * What a process has in memory, from its smaps.
 *
 * Private is what it has written itself: Anonymous of its private mappings, Private_Dirty of the shared ones. Private_Dirty of all would
 * count the pages of a file that was written a moment ago, such as a program that has just been built: until they are on the disk they
 * are dirty, and private as long as only one process maps them.
 */
#ifndef BENCH_PROCESS_MEMORY_H
#define BENCH_PROCESS_MEMORY_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct process_memory {
	uint64_t private_kib, resident_kib; /* without the guest's RAM */
	uint64_t ram_private_kib, ram_kib;  /* of that */
	unsigned n_rams;                    /* mappings of its size */
};

/* False with errno: the process has no smaps to read. */
static inline bool process_memory_read(pid_t pid, uint64_t ram_bytes, struct process_memory *memory)
{
	char path[64], line[512];
	bool is_ram = false, is_shared = false;

	*memory = (struct process_memory){ 0 };
	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	FILE *smaps = fopen(path, "re");
	if (smaps == NULL)
		return false;
	while (fgets(line, sizeof(line), smaps) != NULL) {
		uint64_t from, to, kib;
		char shared;
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*3c%c", &from, &to, &shared) == 3) {
			is_shared = shared == 's';
			is_ram = to - from == ram_bytes;
			memory->n_rams += is_ram;
		} else if (sscanf(line, "Rss: %" SCNu64, &kib) == 1) {
			*(is_ram ? &memory->ram_kib : &memory->resident_kib) += kib;
		} else if (sscanf(line,
				  is_shared ? "Private_Dirty: %" SCNu64 : "Anonymous: %" SCNu64,
				  &kib) == 1) {
			*(is_ram ? &memory->ram_private_kib : &memory->private_kib) += kib;
		}
	}
	fclose(smaps);
	return true;
}

#endif
