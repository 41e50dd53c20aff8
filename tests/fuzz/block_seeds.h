/* SPDX-License-Identifier: MIT */
/* The operations of an input of the disks' fuzzer, and those inputs with which it begins: each leads to a place that
 * mutation alone does not find. */
#ifndef TESTS_FUZZ_BLOCK_SEEDS_H
#define TESTS_FUZZ_BLOCK_SEEDS_H

#include "tests/fuzz/fuzz.h"

enum operation {
	OP_REQUEST,
	OP_REQUEST_INDIRECT,
	OP_DESCRIPTOR,
	OP_OFFER,
	OP_KICK,
	OP_RUN,
	OP_REGISTER,
	OP_RESET,
	OP_START,
	OP_TRUNCATE,
	OP_INDEX_JUMP,
	OP_REQUEST_PARTS,
	OP_RESULTS, /* what the next operations shall come to */
	OP_TIME,    /* passes */
	OP_RESET_WAIT,
	OP_IMAGE,
	OP_END,
	OP_POLICY, /* of the host's ring */
	OPERATIONS,
};

/* Bits of an OP_IMAGE that is the first operation. */
enum image_kind {
	IMAGE_OVERLAY = 8,
	IMAGE_KEPT = 16,
};

/* The results that the host may give an operation instead of the right one. */
enum result_kind {
	RESULT_SHORT,
	RESULT_NOTHING,
	RESULT_ERRORS,
	RESULT_KINDS = RESULT_ERRORS + 10,
};

static void seed_requests(const char *name, uint8_t operation, uint8_t features)
{
	uint8_t seed[256] = { OP_START, features, 7 };
	size_t n = 3;

	for (uint8_t i = 0; i < 12; i++) {
		uint8_t request[] = { operation, (uint8_t)(i * 3), i,       0,      i,
				      0,         (uint8_t)(i % 5), OP_KICK, OP_RUN, i };
		memcpy(seed + n, request, sizeof(request));
		n += sizeof(request);
	}
	fuzz_seed(name, seed, n);
}

/* Zeroes where the file system has no fallocate, interrupted, refused and failed operations. */
static void seed_results(uint8_t image)
{
	static const uint8_t request_types[] = { 0, 1, 2, 4, 5 };
	char name[20];

	for (uint8_t kind = 0; kind < RESULT_KINDS; kind++) {
		struct fuzz_program seed = { 0 };
		FUZZ_APPEND(&seed, OP_IMAGE, image | (kind & 3), OP_START, kind & 1 ? 5 : 1, 7);
		for (size_t i = 0; i < sizeof(request_types); i++) {
			FUZZ_APPEND(&seed, OP_REQUEST, (uint8_t)(i * 3), request_types[i], 3, 0, 0,
				    1);
			if (request_types[i] >= 4)
				FUZZ_APPEND(&seed, 0, 4, 0, 8, 0); /* the range */
			FUZZ_APPEND(&seed, OP_RESULTS, kind, 2, OP_KICK, OP_RUN, OP_RUN, OP_RUN,
				    OP_TIME, 0, OP_RUN, OP_TIME, 1, OP_RUN);
		}
		FUZZ_APPEND(&seed, OP_REQUEST_PARTS, 90, 0, 1, 7, 0, OP_REQUEST_PARTS, 91, 1, 1, 7,
			    0, OP_KICK, OP_RUN, OP_RUN, OP_RESULTS, kind, 1, OP_END, OP_RESET_WAIT);
		snprintf(name, sizeof(name), "results-%u-%u", image, kind);
		fuzz_seed(name, seed.bytes, seed.n);
	}
}

/* More chains than there are requests; a reset that waits; a write that nobody has flushed. */
static void seed_ends(void)
{
	struct fuzz_program seed = { 0 };

	FUZZ_APPEND(&seed, OP_START, 5, 7, OP_REQUEST, 0, 1, 3, 0, 0, 1, OP_OFFER, 0, 126, OP_KICK,
		    OP_RUN, OP_OFFER, 0, 127, OP_KICK, OP_RUN, OP_RUN, OP_RESULTS,
		    RESULT_ERRORS + 4, 15, OP_KICK, OP_RUN, OP_RESET_WAIT, OP_START, 5, 7,
		    OP_REQUEST, 0, 1, 3, 0, 0, 1, OP_KICK, OP_RUN, OP_RESULTS, RESULT_ERRORS + 1, 2,
		    OP_END);
	fuzz_seed("ends", seed.bytes, seed.n);
}

/* A reset while requests are on the ring, a file that is cut, a jump of the index. */
static void seed_resets(void)
{
	struct fuzz_program seed = { 0 };

	FUZZ_APPEND(&seed, OP_START, 3, 7, OP_REQUEST, 0, 4, 0, 0, 0, 2, OP_KICK, OP_RESET,
		    OP_START, 1, 7, OP_REQUEST_INDIRECT, 0, 1, 0, 0, 0, 2, OP_KICK, OP_RUN, 1,
		    OP_TRUNCATE, 9, OP_REQUEST, 3, 0, 0, 4, 0, 3, OP_KICK, OP_RUN, 3, OP_INDEX_JUMP,
		    200, OP_KICK, OP_RUN, 1, OP_REGISTER, 15, 0, 0, 0);
	fuzz_seed("resets", seed.bytes, seed.n);
}

/* Whole blocks and parts of them, written, read over both files, flushed, zeroed; two parts of a block at once. */
static void seed_overlay(void)
{
	struct fuzz_program seed = { 0 };

	FUZZ_APPEND(&seed, OP_IMAGE, IMAGE_OVERLAY | IMAGE_KEPT | 1, OP_START, 5, 7, /* */
		    OP_REQUEST, 0, 1, 8, 0, 0, 7, OP_REQUEST, 3, 1, 3, 0, 0, 2,      /* */
		    OP_REQUEST, 6, 1, 5, 0, 0, 1, OP_KICK, OP_RUN, OP_RUN, OP_RUN,   /* */
		    OP_REQUEST, 9, 0, 0, 0, 0, 8, OP_REQUEST, 12, 2, 0, 0, 0, 0, OP_KICK, OP_RUN,
		    OP_RUN, OP_RUN, OP_RUN, /* */
		    OP_REQUEST, 15, 5, 0, 0, 0, 4, 20, 9, 0, 0, OP_KICK, OP_RUN, OP_RUN,
		    OP_RUN, /* */
		    OP_REQUEST, 18, 4, 0, 0, 0, 4, 32, 9, 0, 0, OP_REQUEST, 21, 2, 0, 0, 0, 0,
		    OP_KICK, OP_RUN, OP_RUN, OP_RUN, OP_END);
	fuzz_seed("overlay", seed.bytes, seed.n);
}

static inline void block_seeds_write(void)
{
	seed_results(0);
	seed_results(IMAGE_OVERLAY);
	seed_results(IMAGE_OVERLAY | IMAGE_KEPT);
	seed_overlay();
	seed_ends();
	seed_requests("direct", OP_REQUEST, 1);
	seed_requests("indirect", OP_REQUEST_INDIRECT, 3);
	seed_resets();
}

#endif
