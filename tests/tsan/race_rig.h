/* SPDX-License-Identifier: MIT */
/*
 * A machine's concurrent work on one device, for ThreadSanitizer: two vCPUs write its registers and kick it, a third
 * writes its rings and buffers, and this thread is the event loop. Guest memory is written and read with relaxed
 * atomics: whoever reads it otherwise is found, too. The device is that of tests/unit/net_queues.h.
 */
#ifndef TESTS_TSAN_RACE_RIG_H
#define TESTS_TSAN_RACE_RIG_H

#include <stdatomic.h>

#include "tests/unit/net_queues.h"

#define RACE_CHAINS     3000u /* that are used in all, or */
#define RACE_MS         20000 /* how long it lasts at most, on a busy machine */
#define RACE_LIFE       500u  /* chains, after which the driver starts anew */
#define RACE_SIZE       128u
#define RACE_BUFFER_GPA 0x400000u
#define RACE_STEP       0x10000u /* a head */

/* Writes head `head` of `queue` with what its descriptors point to. */
typedef void race_offer_fn(unsigned queue, uint16_t head, uint64_t *random);

struct race {
	race_offer_fn *offer;
	uint64_t features;
	atomic_bool over;
	unsigned served, lives; /* chains of all lives */
};

static struct race race;

static inline void race_put64(uint64_t gpa, uint64_t value)
{
	__atomic_store_n((uint64_t *)rig_at(gpa), value, __ATOMIC_RELAXED);
}

static inline void race_put32(uint64_t gpa, uint32_t value)
{
	__atomic_store_n((uint32_t *)rig_at(gpa), value, __ATOMIC_RELAXED);
}

static inline void race_put16(uint64_t gpa, uint16_t value)
{
	__atomic_store_n((uint16_t *)rig_at(gpa), value, __ATOMIC_RELAXED);
}

static inline uint16_t race_get16(uint64_t gpa)
{
	return __atomic_load_n((uint16_t *)rig_at(gpa), __ATOMIC_RELAXED);
}

static inline uint64_t race_avail_gpa(unsigned queue)
{
	return queue_gpa(queue) + 0x4000;
}

static inline uint64_t race_used_gpa(unsigned queue)
{
	return queue_gpa(queue) + 0x8000;
}

static inline uint64_t race_buffer_gpa(unsigned queue, uint16_t head)
{
	return RACE_BUFFER_GPA + (queue * RACE_SIZE + head) * RACE_STEP;
}

static inline void race_put_desc(unsigned queue, unsigned index, uint64_t gpa, uint32_t bytes,
				 uint16_t flags)
{
	uint64_t at = queue_gpa(queue) + index % RACE_SIZE * 16;

	race_put64(at, gpa);
	race_put32(at + 8, bytes);
	race_put16(at + 12, flags);
	race_put16(at + 14, (uint16_t)((index + 1) % RACE_SIZE));
}

/* From reset to DRIVER_OK, whatever the other vCPU makes of that. */
static inline void race_start(void)
{
	struct virtio_transport *transport = &rig.transport;

	driver_write(transport, VIRTIO_MMIO_STATUS, 0);
	driver_negotiate(transport, race.features | FEATURE(VIRTIO_F_VERSION_1));
	for (unsigned i = 0; i < transport->device->type->n_queues; i++) {
		race_put16(race_avail_gpa(i) + 2, 0);
		race_put16(race_used_gpa(i) + 2, 0);
		driver_write(transport, VIRTIO_MMIO_QUEUE_SEL, i);
		driver_write(transport, VIRTIO_MMIO_QUEUE_NUM, RACE_SIZE);
		driver_set_queue_address(transport, VIRTIO_MMIO_QUEUE_DESC_LOW, queue_gpa(i));
		driver_set_queue_address(transport, VIRTIO_MMIO_QUEUE_AVAIL_LOW, race_avail_gpa(i));
		driver_set_queue_address(transport, VIRTIO_MMIO_QUEUE_USED_LOW, race_used_gpa(i));
		driver_write(transport, VIRTIO_MMIO_QUEUE_READY, 1);
	}
	driver_write(transport, VIRTIO_MMIO_STATUS, STATUS_DRIVER_OK);
}

/* A vCPU's work beside starting the device: kicks, and any register. */
static inline void race_vcpu_step(uint64_t *random)
{
	struct virtio_transport *transport = &rig.transport;
	uint64_t number = check_random(random);
	uint32_t offset = (uint32_t)(number >> 8) % 0x140 & ~3u, value = (uint32_t)(number >> 32);

	if (number % 4 != 0)
		queues_kick((unsigned)(number >> 8) % transport->device->type->n_queues);
	else if (number % 8 == 0)
		driver_read(transport, offset);
	else if (offset != VIRTIO_MMIO_STATUS)
		driver_write(transport, offset, value);
	else if (number % 16 == 4)
		driver_write(transport, offset, value % 4 == 0 ? 0 : STATUS_DRIVER_OK);
}

/* Chains that the device has used in this life. */
static inline unsigned race_used(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < rig.transport.device->type->n_queues; i++)
		n += race_get16(race_used_gpa(i) + 2);
	return n;
}

static inline void *race_starting_vcpu(void *seed)
{
	uint64_t random = (uintptr_t)seed;

	for (int64_t end = clock_now_ms() + RACE_MS;
	     race.served < RACE_CHAINS && clock_now_ms() < end; race.lives++) {
		race_start();
		while (race_used() < RACE_LIFE && queues_status() == STATUS_DRIVER_OK &&
		       clock_now_ms() < end)
			race_vcpu_step(&random);
		race.served += race_used();
	}
	atomic_store(&race.over, true);
	return NULL;
}

static inline void *race_other_vcpu(void *seed)
{
	uint64_t random = (uintptr_t)seed;

	while (!atomic_load(&race.over))
		race_vcpu_step(&random);
	return NULL;
}

/* Offers what the driver has not yet offered; now and then something else stands where it wrote. */
static inline void race_scribble(unsigned queue, uint64_t *random)
{
	uint16_t avail = race_get16(race_avail_gpa(queue) + 2);
	uint16_t used = race_get16(race_used_gpa(queue) + 2);
	uint64_t number = check_random(random);
	uint16_t head = (uint16_t)((number >> 32) % RACE_SIZE / 4 * 4); /* chains of 4 at most */

	/* Not into the used ring, by which this rig counts. */
	if (number % 512 == 0)
		race_put64((number & 512 ? queue_gpa(queue) : race_avail_gpa(queue)) +
				   (number >> 40) % 32 * 8,
			   check_random(random));
	if ((uint16_t)(avail - used) >= RACE_SIZE / 2)
		return;
	race.offer(queue, head, random);
	race_put16(race_avail_gpa(queue) + 4 + avail % RACE_SIZE * 2u, head);
	__atomic_store_n((uint16_t *)rig_at(race_avail_gpa(queue) + 2), (uint16_t)(avail + 1),
			 __ATOMIC_RELEASE);
}

static inline void *race_scribbler(void *seed)
{
	uint64_t random = (uintptr_t)seed;

	while (!atomic_load(&race.over))
		for (unsigned i = 0; i < rig.transport.device->type->n_queues; i++)
			race_scribble(i, &random);
	return NULL;
}

/* The device is attached; `host`, if any, is what the host's programs do until race.over. */
static inline void race_run(race_offer_fn *offer, uint64_t features, void *(*host)(void *))
{
	void *(*const threads[])(void *) = { race_starting_vcpu, race_other_vcpu, race_scribbler,
					     host };
	pthread_t ids[4];
	unsigned n = host != NULL ? 4 : 3;

	race.offer = offer;
	race.features = features;
	rig.transport.device->reset_wait_ms = 100; /* others are the vCPUs */
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(pthread_create(&ids[i], NULL, threads[i], (void *)(uintptr_t)(i + 1)), 0);
	while (!atomic_load(&race.over))
		CHECK_EQ(ring_wait_for(&rig_ring, 20), 0);
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(pthread_join(ids[i], NULL), 0);
	rig.transport.device->reset_wait_ms = 0;
	queues_reset();
	RIG_RUN_UNTIL(queues_status() == 0);
	printf("%u chains were used in %u lives\n", race.served, race.lives);
	CHECK(race.served > RACE_CHAINS / 20);
}

#endif
