/* SPDX-License-Identifier: MIT */
/* The operations of an input of the NIC's fuzzer, and those inputs with which it begins. */
#ifndef TESTS_FUZZ_NET_SEEDS_H
#define TESTS_FUZZ_NET_SEEDS_H

#include "tests/fuzz/hostile_driver.h"

enum operation {
	OP_RX_BUFFER = DRIVER_OPERATIONS,
	OP_TX_FRAME,
	OP_HOST_FRAME,
	OP_HOST_READ,
	OP_TAP_REMOVED,
	OP_OLD_HOST,
	OP_RESULT,
	OP_RING_BUFFER,
	OP_TX_HEADER,
	OP_POLICY, /* of the host's ring */
	OPERATIONS,
};

/* EBADFD: the interface is gone. EOPNOTSUPP: the flag is not known after all. */
static const int errors[] = { EBADFD, EOPNOTSUPP, EAGAIN, EINTR, EIO, EFAULT, EINVAL, ENOBUFS };
#define ERRORS (sizeof(errors) / sizeof(errors[0]))

/* A seed: receive buffers of one shape, frames in both directions of one shape. */
static inline void seed_traffic(const char *name, uint8_t host, uint16_t features, uint8_t shape)
{
	struct fuzz_program seed = { .n = 0 };

	FUZZ_APPEND(&seed, host, OP_START, (uint8_t)features, (uint8_t)(features >> 8), 7);
	for (uint8_t i = 0; i < 16; i++) {
		FUZZ_APPEND(&seed, OP_RX_BUFFER, (uint8_t)(i * 7), shape);
		FUZZ_APPEND(&seed, OP_TX_FRAME, (uint8_t)(i * 7), shape, 0);
		FUZZ_APPEND(&seed, OP_KICK, NET_RX, OP_KICK, NET_TX);
		FUZZ_APPEND(&seed, OP_HOST_FRAME, (uint8_t)(i % 8 + 6), 0, 0, OP_RUN, 31);
		FUZZ_APPEND(&seed, OP_HOST_READ, OP_RUN, 31);
	}
	fuzz_seed(name, seed.bytes, seed.n);
}

/* A reset with a poll and a write on their way, a TAP that goes, a jump of the index. */
static inline void seed_ends(void)
{
	struct fuzz_program seed = { .n = 0 };

	FUZZ_APPEND(&seed, OP_START, 0xff, 0xff, 7, OP_RX_BUFFER, 0, 9, OP_KICK, NET_RX, OP_RUN,
		    31);
	FUZZ_APPEND(&seed, OP_HOST_FRAME, 8, 1, 1, OP_RESET, OP_RUN, 31);
	FUZZ_APPEND(&seed, OP_START, 4, 0, 6, OP_TX_FRAME, 0, 9, 0, OP_KICK, NET_TX, OP_RESET);
	FUZZ_APPEND(&seed, OP_START, 0, 0, 5, OP_RX_BUFFER, 0, 9, OP_KICK, NET_RX, OP_RUN, 31);
	FUZZ_APPEND(&seed, OP_TAP_REMOVED, OP_RUN, 31, OP_TX_FRAME, 1, 9, 0, OP_KICK, NET_TX);
	FUZZ_APPEND(&seed, OP_RUN, 31, OP_REGISTER, 25, 0, 0, 0);
	FUZZ_APPEND(&seed, OP_INDEX_JUMP, NET_TX, 200, OP_KICK, NET_TX, OP_RUN, 31);
	fuzz_seed("ends", seed.bytes, seed.n);
}

/* One head again and again: more writes on their way than there are heads, with a reset between. */
static inline void seed_floods(void)
{
	struct fuzz_program seed = { .n = 0 };

	FUZZ_APPEND(&seed, OP_START, 0, 0, 7, OP_TX_FRAME, 0, 8, 0);
	for (unsigned i = 0; i < 4; i++)
		FUZZ_APPEND(&seed, OP_OFFER, NET_TX, 0, 100, OP_KICK, NET_TX, OP_RUN, i % 2);
	FUZZ_APPEND(&seed, OP_RESET, OP_START, 4, 0, 7, OP_RX_BUFFER, 0, 12);
	for (unsigned i = 0; i < 4; i++)
		FUZZ_APPEND(&seed, OP_OFFER, NET_RX, 0, 126, OP_KICK, NET_RX, OP_HOST_FRAME, 8, 0,
			    0, OP_RUN, 31);
	fuzz_seed("floods", seed.bytes, seed.n);
}

/* The same from the guest: one of each kind, and the checksum behind the frame. */
static inline void seed_guest_headers(void)
{
	static const uint8_t kinds[][2] = { { 0, 16 }, { 1, 16 }, { 4, 16 }, { 3, 6 }, { 5, 6 } };
	struct fuzz_program seed = { .n = 0 };

	FUZZ_APPEND(&seed, OP_HOST_READ, OP_START, 0xff, 0xff, 7);
	for (uint8_t i = 0; i < 10; i++) {
		FUZZ_APPEND(&seed, OP_TX_FRAME, i, 8, 0, OP_TX_HEADER, 1, kinds[i % 5][0], 54, 0);
		FUZZ_APPEND(&seed, 200, 0, 34, i < 5 ? 0 : 6, kinds[i % 5][1], 0, i);
		FUZZ_APPEND(&seed, OP_KICK, NET_TX, OP_RUN, 31, OP_HOST_READ);
	}
	fuzz_seed("guest-headers", seed.bytes, seed.n);
}

/* Frames of every kind for a driver that takes all of them. */
static inline void seed_headers(void)
{
	struct fuzz_program seed = { .n = 0 };

	FUZZ_APPEND(&seed, OP_HOST_READ, OP_START, 0xff, 0xff, 7);
	for (uint8_t i = 0; i < 12; i++) {
		FUZZ_APPEND(&seed, OP_RX_BUFFER, i, 14, OP_KICK, NET_RX);
		FUZZ_APPEND(&seed, OP_HOST_FRAME, 8, (uint8_t)(i / 6), (uint8_t)(i % 6), OP_RUN,
			    31);
	}
	fuzz_seed("headers", seed.bytes, seed.n);
}

/* Reads and writes that fail, the one after the other, with each error. */
static inline void seed_results(bool old_host)
{
	struct fuzz_program seed = { .n = 0 };

	FUZZ_APPEND(&seed, old_host ? OP_OLD_HOST : OP_HOST_READ, OP_START, 0xff, 0xff, 7);
	for (uint8_t i = 1; i <= ERRORS; i++) {
		uint8_t error = i % ERRORS; /* EBADFD, the first, comes last */
		FUZZ_APPEND(&seed, OP_RX_BUFFER, i, 9, OP_RX_BUFFER, (uint8_t)(i + 50), 9);
		FUZZ_APPEND(&seed, OP_KICK, NET_RX, OP_RUN, 2, OP_HOST_FRAME, 8, 0, 0);
		FUZZ_APPEND(&seed, OP_RUN, 0, OP_RESULT, error, OP_RESULT, error, OP_RUN, 31);
		FUZZ_APPEND(&seed, OP_TX_FRAME, i, 8, 0, OP_TX_FRAME, (uint8_t)(i + 50), 8, 0);
		FUZZ_APPEND(&seed, OP_KICK, NET_TX, OP_RUN, 0, OP_RESULT, error, OP_RESULT, error);
		FUZZ_APPEND(&seed, OP_RUN, 31);
	}
	fuzz_seed(old_host ? "results-old" : "results", seed.bytes, seed.n);
}

/* Frames that are written over the rings which they come by. */
static inline void seed_rings(void)
{
	struct fuzz_program seed = { .n = 0 };

	FUZZ_APPEND(&seed, OP_HOST_READ, OP_START, 0xff, 0xff, 7);
	for (uint8_t i = 0; i < 12; i++) {
		FUZZ_APPEND(&seed, OP_RX_BUFFER, (uint8_t)(i * 3), 9);
		FUZZ_APPEND(&seed, OP_RING_BUFFER, (uint8_t)(i * 3 + 1), i, (uint8_t)(i * 16));
		FUZZ_APPEND(&seed, OP_TX_FRAME, i, 9, 0, OP_KICK, NET_RX, OP_KICK, NET_TX, OP_RUN,
			    31);
		FUZZ_APPEND(&seed, OP_HOST_FRAME, (uint8_t)(6 + i % 3), 0, 0, OP_HOST_FRAME, 8, 0,
			    0);
		FUZZ_APPEND(&seed, OP_RUN, 31);
		if (i % 4 == 3)
			FUZZ_APPEND(&seed, OP_RESET, OP_RUN, 31, OP_START, 0xff, 0xff, 7);
	}
	fuzz_seed("rings", seed.bytes, seed.n);
}

static inline void net_seeds_write(void)
{
	seed_traffic("plain", OP_OLD_HOST, 0, 9);
	seed_traffic("all-features", OP_HOST_READ, 0xffff, 9);
	seed_traffic("merged", OP_OLD_HOST, 0x1fff, 7);
	seed_traffic("direct-parts", OP_HOST_READ, 0x0fff, 0x58);
	seed_traffic("many-parts", OP_HOST_READ, 0x3fff, 0xea);
	seed_traffic("largest", OP_HOST_READ, 0xffff, 14);
	seed_ends();
	seed_floods();
	seed_headers();
	seed_guest_headers();
	seed_results(false);
	seed_results(true);
	seed_rings();
}

#endif
