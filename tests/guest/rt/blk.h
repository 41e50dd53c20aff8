/* A poll-mode virtio-blk driver over virtio-mmio (virtio 1.2, 2.7, 4.2, 5.2), with every step open to
 * guests that do it wrong. */
#ifndef TESTS_GUEST_RT_BLK_H
#define TESTS_GUEST_RT_BLK_H

#include <stdbool.h>
#include <stdint.h>

#define BLK_WINDOW(i)    (0xc0001000u + (i)*0x1000u)
#define BLK_QUEUE_SIZE   128u
#define BLK_SLOTS        42u /* requests of three descriptors */
#define BLK_SECTOR_BYTES 512u
#define BLK_NO_ANSWER    0xffu /* a status that no device writes */

enum {
	REG_MAGIC = 0x000,
	REG_VERSION = 0x004,
	REG_DEVICE_ID = 0x008,
	REG_DEVICE_FEATURES = 0x010,
	REG_DEVICE_FEATURES_SEL = 0x014,
	REG_DRIVER_FEATURES = 0x020,
	REG_DRIVER_FEATURES_SEL = 0x024,
	REG_QUEUE_SEL = 0x030,
	REG_QUEUE_NUM_MAX = 0x034,
	REG_QUEUE_NUM = 0x038,
	REG_QUEUE_READY = 0x044,
	REG_QUEUE_NOTIFY = 0x050,
	REG_INTERRUPT_STATUS = 0x060,
	REG_INTERRUPT_ACK = 0x064,
	REG_STATUS = 0x070,
	REG_QUEUE_DESC = 0x080,
	REG_QUEUE_AVAIL = 0x090,
	REG_QUEUE_USED = 0x0a0,
	REG_CONFIG_GENERATION = 0x0fc,
	REG_CONFIG = 0x100,
};

#define STATUS_ACKNOWLEDGE 0x01u
#define STATUS_DRIVER      0x02u
#define STATUS_DRIVER_OK   0x04u
#define STATUS_FEATURES_OK 0x08u
#define STATUS_NEEDS_RESET 0x40u
#define INTERRUPT_RING     0x1u
#define INTERRUPT_CONFIG   0x2u

#define FEATURE_RO           (1ull << 5)
#define FEATURE_FLUSH        (1ull << 9)
#define FEATURE_DISCARD      (1ull << 13)
#define FEATURE_WRITE_ZEROES (1ull << 14)
#define FEATURE_INDIRECT     (1ull << 28)
#define FEATURE_EVENT_IDX    (1ull << 29)
#define FEATURE_VERSION_1    (1ull << 32)

#define BLK_IN           0u
#define BLK_OUT          1u
#define BLK_FLUSH        4u
#define BLK_GET_ID       8u
#define BLK_DISCARD      11u
#define BLK_WRITE_ZEROES 13u

#define BLK_OK     0u
#define BLK_IOERR  1u
#define BLK_UNSUPP 2u

#define DESC_NEXT     1u
#define DESC_WRITE    2u
#define DESC_INDIRECT 4u

struct blk_desc {
	uint64_t gpa;
	uint32_t length;
	uint16_t flags, next;
};

struct blk_avail {
	uint16_t flags, index, ring[BLK_QUEUE_SIZE], used_event;
};

struct blk_used {
	uint16_t flags, index;
	struct {
		uint32_t id, length;
	} ring[BLK_QUEUE_SIZE];
	uint16_t avail_event;
};

struct blk_header {
	uint32_t type, reserved;
	uint64_t sector;
};

struct blk_range {
	uint64_t sector;
	uint32_t sectors, flags;
};

struct blk {
	uint64_t base;
	uint64_t features;
	uint16_t seen_used;
	volatile struct blk_used used __attribute__((aligned(16)));
	volatile struct blk_avail avail __attribute__((aligned(16)));
	volatile struct blk_desc desc[BLK_QUEUE_SIZE] __attribute__((aligned(16)));
	struct blk_desc indirect[BLK_SLOTS][3] __attribute__((aligned(16)));
	struct blk_header headers[BLK_SLOTS];
	volatile uint8_t status[BLK_SLOTS];
};

uint32_t blk_read(const struct blk *blk, uint32_t reg);
void blk_write(const struct blk *blk, uint32_t reg, uint32_t value);
uint64_t blk_offered(const struct blk *blk);
uint64_t blk_capacity(const struct blk *blk);

/* Writes 0 to the status and waits for it to read 0. False: not within some seconds. */
bool blk_reset(struct blk *blk);

/* The dance up to FEATURES_OK with `features` and VERSION_1; false if the device refuses. */
bool blk_negotiate(struct blk *blk, uint64_t features);

/* The queue with fresh rings, then DRIVER_OK. */
void blk_start_queue(struct blk *blk);

/* All of it, for the device of window `index`. False: something was not as it must be. */
bool blk_start(struct blk *blk, unsigned index, uint64_t features);

/* Fills in request `slot`: header, `length` bytes of data if any, status. Returns the head. */
uint16_t blk_prepare(struct blk *blk, unsigned slot, uint32_t type, uint64_t sector, void *data,
		     uint32_t length);

/* Makes a head available; the device is told by blk_kick(), which heeds the device's wish. */
void blk_offer(struct blk *blk, uint16_t head);
void blk_kick(struct blk *blk);

/* Waits until `count` more requests are used. False: not within some seconds. */
bool blk_wait(struct blk *blk, unsigned count);

/* One request, waited for: the device's status, or BLK_NO_ANSWER. */
uint8_t blk_io(struct blk *blk, uint32_t type, uint64_t sector, void *data, uint32_t length);

/* Whether the device comes to ask for a reset within some seconds. */
bool blk_wait_needs_reset(const struct blk *blk);

#endif
