/* SPDX-License-Identifier: MIT */
/*
 * The snapshot's file: a header of 4 KiB, the sections, and from a multiple of 2 MiB on the guest's memory, as it lies in
 * guest_memory's mapping; pages of zeroes are holes. All numbers are little-endian. docs/snapshot.md describes it.
 *
 * What is read is hostile: a file can be damaged in any way and must not harm the monitor. Of a section the loader promises
 * kind, place, length and checksum; its content is for whoever takes it to check.
 */
#ifndef SNAPSHOT_FILE_H
#define SNAPSHOT_FILE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/error.h"

struct touched_pages;

#define SNAPSHOT_MAGIC        0x70616e732d6d6d76ull /* "vmm-snap" */
#define SNAPSHOT_VERSION      1u
#define SNAPSHOT_HEADER_BYTES 4096u
#define SNAPSHOT_MEMORY_ALIGN ((uint64_t)2 << 20)
#define SNAPSHOT_MAX_SECTIONS ((uint64_t)8 << 20) /* bytes */
#define SNAPSHOT_MAX_DISKS    16
#define SNAPSHOT_MAX_NETS     8

/* The machine's plan, and the host that made it. */
struct snapshot_header {
	uint64_t magic;
	uint32_t version, zero;
	uint64_t checksum; /* of the header, this field being 0 */
	uint64_t sections_bytes, memory_offset, memory_bytes;
	char monitor[16], host_kernel[64], cpu_vendor[16];
	uint32_t cpu_signature, cpuid_bytes;
	uint64_t cpuid_checksum; /* of what the guest sees */
	uint32_t tsc_khz, n_cpus;
	uint8_t has_acpi, has_serial, has_vsock, n_disks, n_nets, zeroes[3];
	uint64_t generation; /* how many snapshots lie behind it */
	uint8_t macs[SNAPSHOT_MAX_NETS][8];
};
static_assert(sizeof(struct snapshot_header) == 248, "part of the file");

/* Sections lie in the order of their kinds. */
enum snapshot_kind {
	SNAPSHOT_IRQCHIP = 1, /* with the clock */
	SNAPSHOT_CPU,         /* for each vCPU the next two, too */
	SNAPSHOT_CPU_XSAVE,
	SNAPSHOT_CPU_MSRS,
	SNAPSHOT_IDENTITY,
	SNAPSHOT_CONSOLE,
	SNAPSHOT_TRANSPORT, /* before each of the next */
	SNAPSHOT_BLOCK,
	SNAPSHOT_NET,
	SNAPSHOT_VSOCK,
};

struct snapshot_section {
	uint16_t kind, instance;
	uint32_t bytes; /* of what follows, which is padded with zeroes to a multiple of 8 */
	uint64_t checksum;
};
static_assert(sizeof(struct snapshot_section) == 16, "part of the file");

/* The most that one of such a machine may have. */
uint64_t snapshot_file_max_bytes(uint64_t memory_bytes);

/* Finds damage, no forgery. */
uint64_t snapshot_checksum(const void *data, size_t bytes);

/* Reading. */
struct snapshot_file {
	int fd;
	bool inherited;
	struct snapshot_header header;
	const uint8_t *sections;             /* NULL: not mapped */
	const struct touched_pages *touched; /* behind the header; NULL: not mapped */
	uint64_t at;                         /* of the next one */
};

/* fd 0: the path. Checks the header, and that nobody else may write to the file; the file stays open. False: *error says why. */
bool snapshot_file_open(struct snapshot_file *file, const char *path, int fd,
			struct error_text *error);
/* For tests: the same for a header in memory, whose file has file_bytes. */
bool snapshot_header_check(const struct snapshot_header *header, uint64_t file_bytes,
			   struct error_text *error);
bool snapshot_file_map_sections(struct snapshot_file *file, struct error_text *error);

/* The content of the next section, which is 8-aligned and valid for good, if it is of this kind and instance
 * and has min to max bytes. NULL: *error says why not. */
const void *snapshot_file_take(struct snapshot_file *file, enum snapshot_kind kind,
			       unsigned instance, size_t min, size_t max, size_t *bytes,
			       struct error_text *error);
/* Of exactly so many bytes. */
const void *snapshot_file_take_exactly(struct snapshot_file *file, enum snapshot_kind kind,
				       unsigned instance, size_t bytes, struct error_text *error);
/* Nothing is left. */
bool snapshot_file_ends(const struct snapshot_file *file, struct error_text *error);

/* Writing to an empty file. The first failure counts: later calls do nothing, and snapshot_writer_end() returns it. */
struct snapshot_writer {
	int fd;
	int error; /* errno; 0: none so far */
	uint64_t at;
};

void snapshot_writer_begin(struct snapshot_writer *writer, int fd);
void snapshot_writer_add(struct snapshot_writer *writer, enum snapshot_kind kind, unsigned instance,
			 const void *data, size_t bytes);
/* After the last section: where memory belongs. */
uint64_t snapshot_writer_memory_offset(const struct snapshot_writer *writer);
void snapshot_writer_add_memory(struct snapshot_writer *writer, const void *data, size_t bytes,
				uint64_t offset);
/* Sets the header's own fields, and writes it. False with errno. */
bool snapshot_writer_end(struct snapshot_writer *writer, struct snapshot_header *header);

#endif
