/* SPDX-License-Identifier: MIT */
/* A poll-mode virtio-blk driver (virtio 1.2, 5.2), with every step open to guests that do it wrong. */
#ifndef TESTS_GUEST_RT_BLK_H
#define TESTS_GUEST_RT_BLK_H

#include "rt/virtio.h"

#define BLK_SLOTS        42u /* requests of three descriptors */
#define BLK_SECTOR_BYTES 512u
#define BLK_NO_ANSWER    0xffu /* a status that no device writes */

#define FEATURE_RO           (1ull << 5)
#define FEATURE_FLUSH        (1ull << 9)
#define FEATURE_DISCARD      (1ull << 13)
#define FEATURE_WRITE_ZEROES (1ull << 14)

#define BLK_IN           0u
#define BLK_OUT          1u
#define BLK_FLUSH        4u
#define BLK_GET_ID       8u
#define BLK_DISCARD      11u
#define BLK_WRITE_ZEROES 13u

#define BLK_OK     0u
#define BLK_IOERR  1u
#define BLK_UNSUPP 2u

struct blk_header {
	uint32_t type, reserved;
	uint64_t sector;
};

struct blk_range {
	uint64_t sector;
	uint32_t sectors, flags;
};

struct blk {
	struct virtio device;
	struct virtio_queue queue;
	struct virtio_desc indirect[BLK_SLOTS][3] __attribute__((aligned(16)));
	struct blk_header headers[BLK_SLOTS];
	volatile uint8_t status[BLK_SLOTS];
};

uint64_t blk_capacity(const struct blk *blk);

/* Everything up to DRIVER_OK, for the disk of window `index`. False: something was not as it must be. */
bool blk_start(struct blk *blk, unsigned index, uint64_t features);

/* Fills in request `slot`: header, `length` bytes of data if any, status. Returns the head. */
uint16_t blk_prepare(struct blk *blk, unsigned slot, uint32_t type, uint64_t sector, void *data,
		     uint32_t length);

/* One request, waited for: the device's status, or BLK_NO_ANSWER. */
uint8_t blk_io(struct blk *blk, uint32_t type, uint64_t sector, void *data, uint32_t length);

#endif
