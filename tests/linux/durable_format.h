/* SPDX-License-Identifier: MIT */
/*
 * What the guest of the durability tests notes on /dev/vdb, a sector each time, before it goes on; tests/machines/durable_check.py
 * reads it. Record n says what was sure before its step, and what the step is about to change: so record n+1 acknowledges
 * step n. Little-endian.
 */
#ifndef TESTS_LINUX_DURABLE_FORMAT_H
#define TESTS_LINUX_DURABLE_FORMAT_H

#include <stdint.h>

#define SLOTS       24u
#define LOG_SECTORS 4096u /* of each writer: the file system's, then those of the raw disk */
#define RAW_WRITERS 2u
#define RAW_SECTORS 1024u /* of each */
#define FILES_MAGIC "durable1"
#define RAW_MAGIC   "durable2"

/* A slot is the file /dN/fM, N = M % 4. */
enum slot_state {
	SLOT_ABSENT,
	SLOT_PRESENT,
	SLOT_UNSURE, /* changed since the last flush of it */
};

struct files_record {
	char magic[8];
	uint32_t n;
	uint32_t touches; /* a bit for each slot */
	struct {
		uint32_t state;
		uint32_t bytes;
		uint32_t crc; /* that of zlib */
	} slots[SLOTS];
	uint8_t padding[512 - 16 - SLOTS * 12];
};
_Static_assert(sizeof(struct files_record) == 512, "a sector");

enum raw_step {
	RAW_WRITE, /* of sectors that begin with RAW_MAGIC, n, and their number on the disk */
	RAW_ZERO,
	RAW_DISCARD, /* of whole blocks of 4 KiB */
	RAW_FLUSH,
};

struct raw_record {
	char magic[8];
	uint32_t n;
	uint32_t step;
	uint32_t sector; /* on the disk */
	uint32_t sectors;
	uint8_t padding[512 - 24];
};
_Static_assert(sizeof(struct raw_record) == 512, "a sector");

#endif
