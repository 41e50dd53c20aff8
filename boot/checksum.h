/* SPDX-License-Identifier: MIT */
/* The checksum of firmware's tables. */
#ifndef BOOT_CHECKSUM_H
#define BOOT_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* The byte that makes the sum of `bytes` at data, and itself, 0. */
static inline uint8_t checksum(const void *data, size_t bytes)
{
	const uint8_t *at = data;
	unsigned sum = 0;

	while (bytes-- > 0)
		sum += *at++;
	return (uint8_t)-sum;
}

#endif
