/* SPDX-License-Identifier: MIT */
/* Descriptor chains, good and bad (bug classes 5, 15, 16, 19). */
#include "tests/unit/check.h"
#include "tests/unit/virtio_driver.h"
#include "virtio-mmio/queue.h"

#define MEM_BYTES  ((uint64_t)4 << 20)
#define NEXT       VRING_DESC_F_NEXT
#define WRITE      VRING_DESC_F_WRITE
#define INDIRECT   VRING_DESC_F_INDIRECT
#define BUFFER(i)  (DRIVER_BUFFER_GPA + (uint64_t)(i)*0x1000)
#define QUEUE_SIZE 16

static struct guest_memory memory;
static struct virtqueue queue;
static struct driver_queue driver;
static struct virtqueue_chain chain;
static struct vring_desc *table; /* an indirect one */

/* A fresh queue of `size`, with indirect descriptors accepted or not. */
static void set_up(uint16_t size, bool indirect)
{
	driver_queue_map(&driver, &memory, size);
	queue = (struct virtqueue){ .size = size,
				    .desc_gpa = DRIVER_DESC_GPA,
				    .avail_gpa = DRIVER_AVAIL_GPA,
				    .used_gpa = DRIVER_USED_GPA };
	CHECK(virtqueue_make_ready(&queue, &memory, false, indirect));
	table = guest_memory_at(&memory, DRIVER_INDIRECT_GPA, 0x10000);
	memset(table, 0, 0x10000);
	memset(&chain, 0xee, sizeof(chain));
}

static void set(unsigned i, uint64_t gpa, uint32_t bytes, unsigned flags, unsigned next)
{
	driver_set_desc(&driver.desc[i], gpa, bytes, (uint16_t)flags, (uint16_t)next);
}

/* Offers head and pops; the result must be as expected, and popping a broken queue stays so. */
static void check_pop(uint16_t head, enum virtqueue_result expected)
{
	driver_offer(&driver, head);
	CHECK_EQ(virtqueue_pop(&queue, &chain), expected);
	if (expected == VIRTQUEUE_BROKEN)
		CHECK_EQ(virtqueue_pop(&queue, &chain), VIRTQUEUE_BROKEN);
	else
		CHECK_EQ(virtqueue_pop(&queue, &chain), VIRTQUEUE_EMPTY);
}

/* The one descriptor 0, as it stands, breaks the queue. */
static void check_desc_breaks(uint64_t gpa, uint32_t bytes, unsigned flags, unsigned next)
{
	set_up(QUEUE_SIZE, true);
	set(0, gpa, bytes, flags, next);
	check_pop(0, VIRTQUEUE_BROKEN);
}

static void test_direct_chain(void)
{
	set_up(QUEUE_SIZE, false);
	set(3, BUFFER(0), 16, NEXT, 7);
	set(7, BUFFER(1), 512, NEXT | WRITE, 1);
	set(1, BUFFER(2), 1, WRITE, 9); /* `next` counts for nothing without NEXT */
	driver_offer(&driver, 3);
	CHECK_EQ(virtqueue_pop(&queue, &chain), VIRTQUEUE_CHAIN);
	CHECK_EQ(chain.head, 3);
	CHECK_EQ(chain.readable.n, 1);
	CHECK_EQ(chain.writable.n, 2);
	CHECK(chain.buffers[1].iov_base == memory.host + BUFFER(0));
	CHECK_EQ(chain.buffers[1].iov_len, 16);
	CHECK(chain.buffers[2].iov_base == memory.host + BUFFER(1));
	CHECK_EQ(chain.buffers[2].iov_len, 512);
	CHECK(chain.buffers[3].iov_base == memory.host + BUFFER(2));
	CHECK_EQ(chain.buffers[3].iov_len, 1);
	CHECK_EQ(virtqueue_pop(&queue, &chain), VIRTQUEUE_EMPTY);
}

static void test_indirect_chain(void)
{
	set_up(QUEUE_SIZE, true);
	set(5, DRIVER_INDIRECT_GPA, 3 * 16, INDIRECT, 0);
	driver_set_desc(&table[0], BUFFER(0), 16, NEXT, 2);
	driver_set_desc(&table[2], BUFFER(1), 100, NEXT, 1);
	driver_set_desc(&table[1], BUFFER(2), 1, WRITE, 0);
	driver_offer(&driver, 5);
	CHECK_EQ(virtqueue_pop(&queue, &chain), VIRTQUEUE_CHAIN);
	CHECK_EQ(chain.head, 5);
	CHECK_EQ(chain.readable.n, 2);
	CHECK_EQ(chain.writable.n, 1);
	CHECK(chain.buffers[2].iov_base == memory.host + BUFFER(1));
	CHECK(chain.buffers[3].iov_base == memory.host + BUFFER(2));
}

/* As long as the queue has entries, of every size, direct and indirect; one more is refused. */
static void test_longest_chains(void)
{
	for (unsigned size = 1; size <= VIRTQUEUE_MAX_SIZE; size *= 2)
		for (int indirect = 0; indirect < 2; indirect++) {
			set_up((uint16_t)size, indirect);
			struct vring_desc *at = indirect ? table : driver.desc;
			for (unsigned i = 0; i < size; i++)
				driver_set_desc(&at[i], BUFFER(i), i + 1, i + 1 < size ? NEXT : 0,
						(uint16_t)(i + 1));
			/* With one entry more than the queue, all of them linked. */
			driver_set_desc(&table[size], BUFFER(size), 1, 0, 0);
			if (indirect)
				set(0, DRIVER_INDIRECT_GPA, (size + 1) * 16, INDIRECT, 0);
			check_pop(0, VIRTQUEUE_CHAIN);
			CHECK_EQ(chain.readable.n, size);
			for (unsigned i = 0; i < size; i++)
				CHECK_EQ(chain.buffers[1 + i].iov_len, i + 1);
			if (!indirect)
				continue;
			table[size - 1].flags = NEXT;
			check_pop(0, VIRTQUEUE_BROKEN);
		}
}

static void test_class_5_descriptor_bounds(void)
{
	static const struct {
		uint64_t gpa;
		uint32_t bytes;
	} bad[] = {
		{ MEM_BYTES, 1 },
		{ MEM_BYTES - 1, 2 },
		{ 0, (uint32_t)MEM_BYTES + 1 },
		{ 0, UINT32_MAX },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX, 2 },
		{ UINT64_MAX - 4095, 4096 },
		{ UINT64_MAX - 15, 17 },
		{ 0xc0000000, 4 },
		{ 0xc0001000, 4 },
		{ 0x100000000, 1 },
		{ 1ull << 63, 0x80000000 },
		{ BUFFER(0), 0 },
		{ UINT64_MAX - UINT32_MAX + 1, UINT32_MAX },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		check_desc_breaks(bad[i].gpa, bad[i].bytes, 0, 0);
		check_desc_breaks(bad[i].gpa, bad[i].bytes, WRITE, 0);
		set_up(QUEUE_SIZE, true); /* behind a good one */
		set(0, BUFFER(0), 16, NEXT, 1);
		set(1, bad[i].gpa, bad[i].bytes, WRITE, 0);
		check_pop(0, VIRTQUEUE_BROKEN);
		set_up(QUEUE_SIZE, true);
		set(0, DRIVER_INDIRECT_GPA, 16, INDIRECT, 0);
		driver_set_desc(&table[0], bad[i].gpa, bad[i].bytes, 0, 0);
		check_pop(0, VIRTQUEUE_BROKEN);
	}
	set_up(QUEUE_SIZE, true); /* the last byte of RAM is good */
	set(0, MEM_BYTES - 1, 1, WRITE, 0);
	check_pop(0, VIRTQUEUE_CHAIN);
	set(0, 0, (uint32_t)MEM_BYTES, WRITE, 0);
	check_pop(0, VIRTQUEUE_CHAIN);
}

static void test_heads_and_links_outside_the_table(void)
{
	static const uint16_t bad[] = { QUEUE_SIZE, QUEUE_SIZE + 1, 0x7fff, 0x8000, 0xffff };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		set_up(QUEUE_SIZE, true);
		/* The memory behind the table looks like a good descriptor. */
		struct vring_desc *behind =
			guest_memory_at(&memory, DRIVER_DESC_GPA + bad[i] * 16u, 16);
		CHECK(behind != NULL);
		*behind = (struct vring_desc){ DRIVER_INDIRECT_GPA, 16, INDIRECT, 0 };
		driver_set_desc(&table[0], BUFFER(0), 16, 0, 0);
		check_pop(bad[i], VIRTQUEUE_BROKEN);
		check_desc_breaks(BUFFER(0), 16, NEXT, bad[i]);
		set_up(QUEUE_SIZE, true);
		set(0, DRIVER_INDIRECT_GPA, 16 * QUEUE_SIZE, INDIRECT, 0);
		driver_set_desc(&table[0], BUFFER(0), 16, NEXT, bad[i]);
		check_pop(0, VIRTQUEUE_BROKEN);
	}
	/* An index inside the queue, outside the smaller indirect table. */
	set_up(QUEUE_SIZE, true);
	set(0, DRIVER_INDIRECT_GPA, 16 * 2, INDIRECT, 0);
	driver_set_desc(&table[0], BUFFER(0), 16, NEXT, 2);
	driver_set_desc(&table[2], BUFFER(1), 16, 0, 0);
	check_pop(0, VIRTQUEUE_BROKEN);
}

static void test_class_16_chain_loops(void)
{
	check_desc_breaks(BUFFER(0), 16, NEXT, 0);
	for (unsigned length = 2; length <= QUEUE_SIZE; length++) {
		set_up(QUEUE_SIZE, true);
		for (unsigned i = 0; i < length; i++)
			set(i, BUFFER(i), 16, NEXT | WRITE, (i + 1) % length);
		check_pop(0, VIRTQUEUE_BROKEN);
		set_up(QUEUE_SIZE, true);
		set(0, DRIVER_INDIRECT_GPA, 16 * length, INDIRECT, 0);
		for (unsigned i = 0; i < length; i++)
			driver_set_desc(&table[i], BUFFER(i), 16, NEXT,
					(uint16_t)((i + 1) % length));
		check_pop(0, VIRTQUEUE_BROKEN);
	}
}

static void test_class_16_indirect_tables(void)
{
	static const uint32_t bad_lengths[] = {
		0, 1, 8, 15, 17, 24, 31, UINT32_MAX, 0xfffffff0, (uint32_t)MEM_BYTES
	};

	for (size_t i = 0; i < sizeof(bad_lengths) / sizeof(bad_lengths[0]); i++) {
		set_up(QUEUE_SIZE, true);
		driver_set_desc(&table[0], BUFFER(0), 16, 0,
				0); /* nothing is wrong but the length */
		set(0, DRIVER_INDIRECT_GPA, bad_lengths[i], INDIRECT, 0);
		check_pop(0, VIRTQUEUE_BROKEN);
	}
	check_desc_breaks(MEM_BYTES, 16, INDIRECT, 0);
	check_desc_breaks(MEM_BYTES - 8, 16, INDIRECT, 0);
	check_desc_breaks(UINT64_MAX - 7, 16, INDIRECT, 0);
	set_up(QUEUE_SIZE, true); /* nested */
	set(0, DRIVER_INDIRECT_GPA, 16, INDIRECT, 0);
	driver_set_desc(&table[0], DRIVER_INDIRECT_GPA + 0x1000, 16, INDIRECT, 0);
	driver_set_desc(&table[256], BUFFER(0), 16, 0, 0);
	check_pop(0, VIRTQUEUE_BROKEN);
	set_up(QUEUE_SIZE, true); /* followed by another descriptor (virtio 1.2, 2.7.5.3.1) */
	set(0, DRIVER_INDIRECT_GPA, 16, INDIRECT | NEXT, 1);
	driver_set_desc(&table[0], BUFFER(0), 16, 0, 0);
	set(1, BUFFER(1), 16, 0, 0);
	check_pop(0, VIRTQUEUE_BROKEN);
	set_up(QUEUE_SIZE, true); /* in the middle of a chain */
	set(0, BUFFER(0), 16, NEXT, 1);
	set(1, DRIVER_INDIRECT_GPA, 16, INDIRECT, 0);
	driver_set_desc(&table[0], BUFFER(0), 16, 0, 0);
	check_pop(0, VIRTQUEUE_BROKEN);
	set_up(QUEUE_SIZE, false); /* not negotiated */
	set(0, DRIVER_INDIRECT_GPA, 16, INDIRECT, 0);
	driver_set_desc(&table[0], BUFFER(0), 16, 0, 0);
	check_pop(0, VIRTQUEUE_BROKEN);
}

/* virtio 1.2, 2.7.4.2: what the device reads comes before what it writes. */
static void test_order_of_buffers(void)
{
	set_up(QUEUE_SIZE, true);
	set(0, BUFFER(0), 16, NEXT | WRITE, 1);
	set(1, BUFFER(1), 16, 0, 0);
	check_pop(0, VIRTQUEUE_BROKEN);
	set_up(QUEUE_SIZE, true);
	set(0, DRIVER_INDIRECT_GPA, 3 * 16, INDIRECT, 0);
	driver_set_desc(&table[0], BUFFER(0), 16, NEXT, 1);
	driver_set_desc(&table[1], BUFFER(1), 16, NEXT | WRITE, 2);
	driver_set_desc(&table[2], BUFFER(2), 16, 0, 0);
	check_pop(0, VIRTQUEUE_BROKEN);
}

/* A broken queue never costs more than its size in descriptors, wherever the chain leads. */
static void test_random_tables_stay_inside(void)
{
	uint64_t state = 1;

	for (unsigned round = 0; round < 200000; round++) {
		if (round % 64 == 0)
			set_up(QUEUE_SIZE, true);
		for (unsigned i = 0; i < QUEUE_SIZE; i++) {
			uint64_t r = check_random(&state);
			set(i, r % (MEM_BYTES + 8), (uint32_t)(r >> 40) % 5000, (r >> 24) % 8,
			    (r >> 32) % (QUEUE_SIZE + 1));
		}
		uint16_t before = queue.next_avail;
		driver.avail->idx = before;
		driver_offer(&driver, (uint16_t)(check_random(&state) % QUEUE_SIZE));
		if (virtqueue_pop(&queue, &chain) != VIRTQUEUE_CHAIN)
			continue;
		unsigned n = chain.readable.n + chain.writable.n;
		CHECK(n >= 1 && n <= QUEUE_SIZE);
		for (unsigned i = 0; i < n; i++) {
			const uint8_t *start = chain.buffers[1 + i].iov_base;
			CHECK(start >= memory.host && start < memory.host + MEM_BYTES);
			CHECK(chain.buffers[1 + i].iov_len >= 1 &&
			      chain.buffers[1 + i].iov_len <=
				      (size_t)(memory.host + MEM_BYTES - start));
		}
	}
}

int main(void)
{
	CHECK(guest_memory_map(&memory, MEM_BYTES));
	RUN(test_direct_chain);
	RUN(test_indirect_chain);
	RUN(test_longest_chains);
	RUN(test_class_5_descriptor_bounds);
	RUN(test_heads_and_links_outside_the_table);
	RUN(test_class_16_chain_loops);
	RUN(test_class_16_indirect_tables);
	RUN(test_order_of_buffers);
	RUN(test_random_tables_stay_inside);
	return 0;
}
