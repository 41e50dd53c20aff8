/* SPDX-License-Identifier: MIT */
/* Chains and rings that break the rules, for every queue. */
#include "hostile/hostile.h"

#define SIZE       VIRTIO_QUEUE_SIZE
#define WINDOW_GPA 0xc0001000u
#define LAPIC_PAGE 0xfee00000u
#define INDIRECT   FEATURE_INDIRECT
#define EVENT_IDX  FEATURE_EVENT_IDX
#define KICKS      (300u * effort)

static volatile struct virtio_desc *desc(const struct target *target, unsigned i)
{
	return &target->queue->desc[i];
}

static void head_out_of_range(const struct target *target)
{
	good_chain(target);
	target->queue->avail.ring[0] = SIZE;
}

static void head_largest(const struct target *target)
{
	good_chain(target);
	target->queue->avail.ring[0] = 0xffff;
}

static void next_out_of_range(const struct target *target)
{
	good_chain(target);
	desc(target, 1)->next = SIZE;
}

static void next_largest(const struct target *target)
{
	good_chain(target);
	desc(target, 1)->next = 0xffff;
}

static void loop_of_one(const struct target *target)
{
	good_chain(target);
	desc(target, 1)->next = 1;
}

static void loop_of_two(const struct target *target)
{
	good_chain(target);
	desc(target, 1)->next = 0;
}

static void loop_of_all(const struct target *target)
{
	good_chain(target);
	for (unsigned i = 0; i < SIZE; i++) {
		desc(target, i)->gpa = (uintptr_t)spare;
		desc(target, i)->length = 16;
		desc(target, i)->flags = DESC_NEXT | (target->is_written ? DESC_WRITE : 0);
		desc(target, i)->next = (uint16_t)((i + 1) % SIZE);
	}
}

static void buffer(const struct target *target, uint64_t gpa, uint32_t length)
{
	good_chain(target);
	desc(target, 1)->gpa = gpa;
	desc(target, 1)->length = length;
}

static void buffer_in_device_memory(const struct target *target)
{
	buffer(target, WINDOW_GPA, 512);
}

static void buffer_in_the_lapic(const struct target *target)
{
	buffer(target, LAPIC_PAGE, 512);
}

static void buffer_across_the_end(const struct target *target)
{
	buffer(target, RAM_BYTES - 511, 512);
}

static void buffer_behind_the_end(const struct target *target)
{
	buffer(target, RAM_BYTES, 1);
}

static void buffer_wraps(const struct target *target)
{
	buffer(target, UINT64_MAX - 255, 512);
}

static void buffer_wraps_to_zero(const struct target *target)
{
	buffer(target, UINT64_MAX - 511, 512);
}

static void buffer_at_the_top(const struct target *target)
{
	buffer(target, UINT64_MAX, 1);
}

static void buffer_above_4g(const struct target *target)
{
	buffer(target, (1ull << 32) + 0x200000, 512);
}

static void buffer_sign_bit(const struct target *target)
{
	buffer(target, (1ull << 63) + 0x200000, 512);
}

static void buffer_of_4g(const struct target *target)
{
	buffer(target, 0, UINT32_MAX);
}

static void buffer_of_2g(const struct target *target)
{
	buffer(target, (uintptr_t)spare, 0x80000000);
}

static void buffer_empty(const struct target *target)
{
	buffer(target, (uintptr_t)spare, 0);
}

static void readable_after_writable(const struct target *target)
{
	good_chain(target);
	if (target->is_written || target->device == &disk.device)
		desc(target, 2)->flags = 0;
	else
		desc(target, 0)->flags |= DESC_WRITE;
}

static void index_jump(const struct target *target)
{
	good_chain(target);
	target->queue->avail.index = SIZE + 1;
}

static void index_half_round(const struct target *target)
{
	good_chain(target);
	target->queue->avail.index = 0x8000;
}

static void index_back(const struct target *target)
{
	good_chain(target);
	target->queue->avail.index = 0xffff;
}

static void index_back_far(const struct target *target)
{
	good_chain(target);
	target->queue->avail.index = 0x8001;
}

/* Bits that have no meaning, in the descriptors and in the ring, are none of the device's business. */
static void reserved_flags(const struct target *target)
{
	good_chain(target);
	for (unsigned i = 0; i < 3; i++)
		desc(target, i)->flags |= 0xfff8;
	target->queue->avail.flags = 0xffff;
	kick(target);
}

static void used_ring_overwritten(const struct target *target)
{
	good_chain(target);
	target->queue->used.index = 0x8000;
	target->queue->used.flags = 0xffff;
	for (unsigned i = 0; i < SIZE; i++)
		target->queue->used.ring[i].id = target->queue->used.ring[i].length = UINT32_MAX;
	kick(target);
}

static void wild_events(const struct target *target)
{
	good_chain(target);
	for (unsigned i = 0; i < 100 * effort; i++) {
		target->queue->avail.used_event = (uint16_t)random32();
		target->queue->used.avail_event = (uint16_t)random32();
		kick(target);
	}
}

static void one_head_for_all(const struct target *target)
{
	good_chain(target);
	for (unsigned i = 1; i < SIZE; i++)
		virtio_offer(target->queue, 0);
	kick(target);
}

/* Every chain that comes back is offered again at once. */
static void endless_refill(const struct target *target)
{
	good_chain(target);
	for (unsigned round = 0; round < 50 * effort; round++) {
		for (unsigned i = 0;
		     (uint16_t)(target->queue->avail.index - target->queue->used.index) < SIZE &&
		     i < SIZE;
		     i++)
			virtio_offer(target->queue, 0);
		kick(target);
	}
}

static void kicks_without_chains(const struct target *target)
{
	for (unsigned i = 0; i < KICKS; i++)
		kick(target);
}

/* The two bytes of the index one by one, as a bad memcpy does. */
static void index_byte_by_byte(const struct target *target)
{
	volatile uint8_t *index = (volatile uint8_t *)&target->queue->avail.index;

	good_chain(target);
	for (unsigned i = 0; i < 300 * effort; i++) {
		index[0] = (uint8_t)i;
		index[1] = (uint8_t)(i >> 3);
		kick(target);
	}
}

/* An address and a length at random: inside `spare`, or outside the RAM, because the device may use them. */
static uint64_t wild_gpa(void)
{
	uint32_t random = random32();

	switch (random >> 29) {
	case 0:
		return RAM_BYTES + (random & 0xffff);
	case 1:
		return UINT64_MAX - (random & 0xffff);
	case 2:
		return WINDOW_GPA + (random & 0xffff);
	case 3:
		return (uint64_t)random << 32;
	default:
		return (uintptr_t)spare + random % (sizeof(spare) - 4096);
	}
}

static uint32_t wild_length(void)
{
	uint32_t random = random32();

	return random & 1 ? random % 4096 : random | RAM_BYTES;
}

/* Descriptors change while the device walks them. */
static void descriptors_rewritten_behind_the_kick(const struct target *target)
{
	for (unsigned round = 0; round < 30 * effort; round++) {
		good_chain(target);
		kick(target);
		for (unsigned i = 0; i < 20; i++) {
			desc(target, 1)->gpa = wild_gpa();
			desc(target, 1)->length = wild_length();
			desc(target, 1)->next = (uint16_t)random32();
			desc(target, 0)->flags = (uint16_t)(random32() & 7);
		}
	}
}

/* Buffers in the queue's own descriptors and rings: what the device writes is its next order. */
static void buffers_in_the_own_rings(const struct target *target)
{
	volatile void *places[] = { target->queue->desc, &target->queue->avail,
				    &target->queue->used };

	for (unsigned i = 0; i < 3; i++) {
		good_chain(target);
		desc(target, 1)->gpa = (uintptr_t)places[i];
		desc(target, 1)->length = 512;
		kick(target);
		if (target->nudge != NULL)
			(void)host_does(target->nudge);
	}
}

static void random_chains(const struct target *target)
{
	good_chain(target);
	for (unsigned i = 0; i < SIZE; i++) {
		desc(target, i)->gpa = wild_gpa();
		desc(target, i)->length = wild_length();
		desc(target, i)->flags = (uint16_t)(random32() & 7);
		desc(target, i)->next = (uint16_t)(random32() % (SIZE + 2));
		target->queue->avail.ring[i] = (uint16_t)(random32() % SIZE);
	}
	target->queue->avail.index = SIZE;
	kick(target);
}

/* cases: block net-rx net-tx stream-rx stream-tx vsock-rx vsock-tx */
static const struct hostile_case cases[] = {
	{ "head-out-of-range", 5, BREAKS, 0, head_out_of_range },
	{ "head-largest", 5, BREAKS, 0, head_largest },
	{ "next-out-of-range", 5, BREAKS, 0, next_out_of_range },
	{ "next-largest", 5, BREAKS, 0, next_largest },
	{ "loop-of-one", 16, BREAKS, 0, loop_of_one },
	{ "loop-of-two", 16, BREAKS, 0, loop_of_two },
	{ "loop-of-all", 16, BREAKS, 0, loop_of_all },
	{ "buffer-in-device-memory", 5, BREAKS, 0, buffer_in_device_memory },
	{ "buffer-in-the-lapic", 5, BREAKS, 0, buffer_in_the_lapic },
	{ "buffer-across-the-end", 5, BREAKS, 0, buffer_across_the_end },
	{ "buffer-behind-the-end", 5, BREAKS, 0, buffer_behind_the_end },
	{ "buffer-wraps", 3, BREAKS, 0, buffer_wraps },
	{ "buffer-wraps-to-zero", 3, BREAKS, 0, buffer_wraps_to_zero },
	{ "buffer-at-the-top", 3, BREAKS, 0, buffer_at_the_top },
	{ "buffer-above-4g", 5, BREAKS, 0, buffer_above_4g },
	{ "buffer-sign-bit", 14, BREAKS, 0, buffer_sign_bit },
	{ "buffer-of-4g", 8, BREAKS, 0, buffer_of_4g },
	{ "buffer-of-2g", 8, BREAKS, 0, buffer_of_2g },
	{ "buffer-empty", 5, BREAKS, 0, buffer_empty },
	{ "readable-after-writable", 5, BREAKS, 0, readable_after_writable },
	{ "index-jump", 11, BREAKS, 0, index_jump },
	{ "index-half-round", 14, BREAKS, 0, index_half_round },
	{ "index-back", 11, BREAKS, 0, index_back },
	{ "index-back-far", 14, BREAKS, 0, index_back_far },
	{ "reserved-flags", 19, ANY, 0, reserved_flags },
	{ "used-ring-overwritten", 13, ANY, 0, used_ring_overwritten },
	{ "wild-events", 13, ANY, EVENT_IDX, wild_events },
	{ "one-head-for-all", 15, LIVES, 0, one_head_for_all },
	{ "endless-refill", 9, ANY, EVENT_IDX, endless_refill },
	{ "kicks-without-chains", 9, LIVES, 0, kicks_without_chains },
	{ "index-byte-by-byte", 12, ANY, 0, index_byte_by_byte },
	{ "descriptors-rewritten-behind-the-kick", 13, ANY, 0,
	  descriptors_rewritten_behind_the_kick },
	{ "buffers-in-the-own-rings", 25, ANY, 0, buffers_in_the_own_rings },
	{ "random-chains", 5, ANY, INDIRECT, random_chains },
};
HOSTILE_TABLE(chain_table, cases, "block net-rx net-tx stream-rx stream-tx vsock-rx vsock-tx");
