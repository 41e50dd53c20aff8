/* SPDX-License-Identifier: MIT */
/* SipHash-1-3 of one word. Without the key nobody can choose words that collide, nor learn from some that do which others
 * will. */
#ifndef VIRTIO_MMIO_VSOCK_HASH_H
#define VIRTIO_MMIO_VSOCK_HASH_H

#include <stdint.h>

static inline uint64_t vsock_rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void vsock_hash_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = vsock_rotate(v[1], 13) ^ v[0];
	v[3] = vsock_rotate(v[3], 16) ^ v[2];
	v[0] = vsock_rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = vsock_rotate(v[1], 17) ^ v[2];
	v[3] = vsock_rotate(v[3], 21) ^ v[0];
	v[2] = vsock_rotate(v[2], 32);
}

static inline uint64_t vsock_hash(const uint64_t key[2], uint64_t word)
{
	const uint64_t words[2] = { word, (uint64_t)sizeof(word) << 56 };
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
			  key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573 };

	for (unsigned i = 0; i < 2; i++) {
		v[3] ^= words[i];
		vsock_hash_round(v);
		v[0] ^= words[i];
	}
	v[2] ^= 0xff;
	for (unsigned i = 0; i < 3; i++)
		vsock_hash_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
