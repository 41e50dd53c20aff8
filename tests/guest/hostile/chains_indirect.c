/* SPDX-License-Identifier: MIT */
/* Indirect tables that break the rules, for every queue. */
#include "hostile/hostile.h"

#define SIZE       VIRTIO_QUEUE_SIZE
#define WINDOW_GPA 0xc0001000u
#define INDIRECT   FEATURE_INDIRECT
#define TABLE_MAX  256u

static struct virtio_desc table[TABLE_MAX] __attribute__((aligned(16)));

static volatile struct virtio_desc *desc(const struct target *target, unsigned i)
{
	return &target->queue->desc[i];
}

/* Chain 0 is one descriptor, an indirect table. */
static void indirect(const struct target *target, uint64_t gpa, uint32_t length, uint16_t flags)
{
	good_chain(target);
	desc(target, 0)->gpa = gpa;
	desc(target, 0)->length = length;
	desc(target, 0)->flags = (uint16_t)(DESC_INDIRECT | flags);
	desc(target, 0)->next = 1;
}

static void entry(unsigned i, uint64_t gpa, uint32_t length, uint16_t flags, uint16_t next)
{
	table[i] = (struct virtio_desc){ gpa, length, flags, next };
}

/* As many entries as fit the queue, or more: all good. */
static void fill_table(const struct target *target, unsigned n)
{
	uint16_t write = target->is_written ? DESC_WRITE : 0;

	for (unsigned i = 0; i < n; i++)
		entry(i, (uintptr_t)spare + i * 64, 64,
		      (uint16_t)(write | (i + 1 < n ? DESC_NEXT : 0)), (uint16_t)(i + 1));
}

static void indirect_good_table(const struct target *target)
{
	fill_table(target, 3);
	indirect(target, (uintptr_t)table, 48, 0);
}

static void indirect_empty(const struct target *target)
{
	indirect(target, (uintptr_t)table, 0, 0);
}

static void indirect_partial(const struct target *target)
{
	fill_table(target, 3);
	indirect(target, (uintptr_t)table, 40, 0);
}

static void indirect_nested(const struct target *target)
{
	entry(0, (uintptr_t)table, 16, DESC_INDIRECT, 0);
	indirect(target, (uintptr_t)table, 16, 0);
}

static void indirect_nested_later(const struct target *target)
{
	fill_table(target, 3);
	table[2].flags = DESC_INDIRECT;
	indirect(target, (uintptr_t)table, 48, 0);
}

static void indirect_with_next(const struct target *target)
{
	fill_table(target, 3);
	indirect(target, (uintptr_t)table, 48, DESC_NEXT);
}

static void indirect_behind_a_buffer(const struct target *target)
{
	good_chain(target);
	fill_table(target, 3);
	desc(target, 1)->gpa = (uintptr_t)table;
	desc(target, 1)->length = 48;
	desc(target, 1)->flags = DESC_INDIRECT;
}

static void indirect_across_the_end(const struct target *target)
{
	indirect(target, RAM_BYTES - 16, 48, 0);
}

static void indirect_wraps(const struct target *target)
{
	indirect(target, UINT64_MAX - 15, 48, 0);
}

static void indirect_in_device_memory(const struct target *target)
{
	indirect(target, WINDOW_GPA, 48, 0);
}

static void indirect_of_4g(const struct target *target)
{
	indirect(target, (uintptr_t)table, 0xfffffff0, 0);
}

static void indirect_not_aligned(const struct target *target)
{
	fill_table(target, 3);
	indirect(target, (uintptr_t)table + 4, 48, 0);
}

static void indirect_longer_than_the_queue(const struct target *target)
{
	fill_table(target, SIZE + 1);
	indirect(target, (uintptr_t)table, (SIZE + 1) * 16, 0);
}

static void indirect_huge(const struct target *target)
{
	fill_table(target, TABLE_MAX);
	indirect(target, (uintptr_t)table, sizeof(table), 0);
}

static void indirect_loop(const struct target *target)
{
	fill_table(target, 3);
	table[1].next = 0;
	indirect(target, (uintptr_t)table, 48, 0);
}

static void indirect_next_outside(const struct target *target)
{
	fill_table(target, 3);
	table[1].next = 3;
	indirect(target, (uintptr_t)table, 48, 0);
}

static void indirect_buffer_outside(const struct target *target)
{
	fill_table(target, 3);
	table[1].gpa = RAM_BYTES - 8;
	indirect(target, (uintptr_t)table, 48, 0);
}

/* cases: block net-rx net-tx stream-rx stream-tx vsock-rx vsock-tx */
static const struct hostile_case cases[] = {
	{ "indirect-not-negotiated", 16, BREAKS, 0, indirect_good_table },
	{ "indirect-empty", 16, BREAKS, INDIRECT, indirect_empty },
	{ "indirect-partial", 16, BREAKS, INDIRECT, indirect_partial },
	{ "indirect-nested", 16, BREAKS, INDIRECT, indirect_nested },
	{ "indirect-nested-later", 16, BREAKS, INDIRECT, indirect_nested_later },
	{ "indirect-with-next", 16, BREAKS, INDIRECT, indirect_with_next },
	{ "indirect-behind-a-buffer", 16, BREAKS, INDIRECT, indirect_behind_a_buffer },
	{ "indirect-across-the-end", 5, BREAKS, INDIRECT, indirect_across_the_end },
	{ "indirect-wraps", 3, BREAKS, INDIRECT, indirect_wraps },
	{ "indirect-in-device-memory", 5, BREAKS, INDIRECT, indirect_in_device_memory },
	{ "indirect-of-4g", 8, BREAKS, INDIRECT, indirect_of_4g },
	{ "indirect-not-aligned", 5, BREAKS, INDIRECT, indirect_not_aligned },
	{ "indirect-longer-than-the-queue", 15, BREAKS, INDIRECT, indirect_longer_than_the_queue },
	{ "indirect-huge", 16, BREAKS, INDIRECT, indirect_huge },
	{ "indirect-loop", 16, BREAKS, INDIRECT, indirect_loop },
	{ "indirect-next-outside", 16, BREAKS, INDIRECT, indirect_next_outside },
	{ "indirect-buffer-outside", 5, BREAKS, INDIRECT, indirect_buffer_outside },
};
HOSTILE_TABLE(indirect_table, cases, "block net-rx net-tx stream-rx stream-tx vsock-rx vsock-tx");
