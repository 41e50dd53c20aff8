/* SPDX-License-Identifier: MIT */
/* A poll-mode driver's common part over virtio-mmio (virtio 1.2, 2.7, 4.2): registers and split queues, with
 * every step open to guests that do it wrong. */
#ifndef TESTS_GUEST_RT_VIRTIO_H
#define TESTS_GUEST_RT_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#define VIRTIO_WINDOW(i)  (0xc0001000u + (i)*0x1000u)
#define VIRTIO_QUEUE_SIZE 128u
#define VIRTIO_WAIT_TSC   10000000000u /* how long anything is waited for: 2 s or more */

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

#define FEATURE_INDIRECT  (1ull << 28)
#define FEATURE_EVENT_IDX (1ull << 29)
#define FEATURE_VERSION_1 (1ull << 32)

#define DESC_NEXT     1u
#define DESC_WRITE    2u
#define DESC_INDIRECT 4u

struct virtio_desc {
	uint64_t gpa;
	uint32_t length;
	uint16_t flags, next;
};

struct virtio_avail {
	uint16_t flags, index, ring[VIRTIO_QUEUE_SIZE], used_event;
};

struct virtio_used {
	uint16_t flags, index;
	struct {
		uint32_t id, length;
	} ring[VIRTIO_QUEUE_SIZE];
	uint16_t avail_event;
};

struct virtio_queue {
	uint32_t number;
	uint16_t seen_used;
	uint16_t kicked; /* the available index at the last kick */
	volatile struct virtio_used used __attribute__((aligned(16)));
	volatile struct virtio_avail avail __attribute__((aligned(16)));
	volatile struct virtio_desc desc[VIRTIO_QUEUE_SIZE] __attribute__((aligned(16)));
};

struct virtio {
	uint64_t base;
	uint64_t features;
};

uint32_t virtio_read(const struct virtio *device, uint32_t reg);
void virtio_write(const struct virtio *device, uint32_t reg, uint32_t value);
uint64_t virtio_offered(const struct virtio *device);

/* Writes 0 to the status and waits for it to read 0. False: not within some seconds. */
bool virtio_reset(const struct virtio *device);

/* The dance up to FEATURES_OK with `features` and VERSION_1; false if the device refuses. */
bool virtio_negotiate(struct virtio *device, uint64_t features);

/* Queue `number` with fresh rings, ready; no interrupts are wanted. */
void virtio_make_queue(const struct virtio *device, struct virtio_queue *queue, uint32_t number);

void virtio_driver_ok(const struct virtio *device);

/* All of it, for the device with this id in window `index`; its queues are 0 to n - 1. False: something was
 * not as it must be. */
bool virtio_start(struct virtio *device, unsigned index, uint32_t device_id, uint64_t features,
		  struct virtio_queue *queues, uint32_t n);

/* Makes a head available; the device is told by virtio_kick(), which heeds the device's wish. */
void virtio_offer(struct virtio_queue *queue, uint16_t head);
void virtio_kick(const struct virtio *device, struct virtio_queue *queue);

/* Descriptor `head` alone as a chain. */
void virtio_offer_one(struct virtio_queue *queue, uint16_t head, const void *data, uint32_t length,
		      uint16_t flags);

/* Waits until `count` more chains are used. False: not within some seconds. */
bool virtio_wait(struct virtio_queue *queue, unsigned count);

/* The next used chain, if there is one: its head, or -1. */
int virtio_take(struct virtio_queue *queue, uint32_t *length);

/* Whether the device comes to ask for a reset within some seconds. */
bool virtio_wait_needs_reset(const struct virtio *device);

#endif
