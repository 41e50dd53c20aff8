/* SPDX-License-Identifier: MIT */
/* Ring indexes, placement, notification arithmetic; and rings that change during the look (bug
 * classes 4, 11, 12, 13, 14). */
#include <pthread.h>
#include <stdatomic.h>

#include "mem/layout.h"
#include "tests/unit/check.h"
#include "tests/unit/virtio_driver.h"
#include "virtio-mmio/queue.h"

#define MEM_BYTES ((uint64_t)4 << 20)
#define RACE_POPS 300000u

static struct guest_memory memory;
static struct virtqueue queue;
static struct driver_queue driver;
static struct virtqueue_chain chain;
static atomic_bool race_ended;

static struct virtqueue placed(uint16_t size, uint64_t desc, uint64_t avail, uint64_t used)
{
	return (struct virtqueue){
		.size = size, .desc_gpa = desc, .avail_gpa = avail, .used_gpa = used
	};
}

/* A queue of `size` with one buffer behind every head. */
static void set_up(uint16_t size, bool event_idx)
{
	driver_queue_map(&driver, &memory, size);
	queue = placed(size, DRIVER_DESC_GPA, DRIVER_AVAIL_GPA, DRIVER_USED_GPA);
	CHECK(virtqueue_make_ready(&queue, &memory, event_idx, true));
	for (uint16_t i = 0; i < size; i++)
		driver_set_desc(&driver.desc[i], DRIVER_BUFFER_GPA + i, 1, 0, 0);
}

static bool can_be(uint16_t size, uint64_t desc, uint64_t avail, uint64_t used)
{
	struct virtqueue q = placed(size, desc, avail, used);
	bool ready = virtqueue_make_ready(&q, &memory, true, true);

	CHECK_EQ(q.ready, ready);
	return ready;
}

static void test_sizes(void)
{
	for (unsigned size = 0; size <= UINT16_MAX; size++) {
		bool valid = size != 0 && size <= 128 && (size & (size - 1)) == 0;
		CHECK_EQ(can_be((uint16_t)size, 0x10000, 0x20000, 0x30000), valid);
	}
}

static void test_alignment_and_place(void)
{
	static const uint64_t outside[] = { MEM_BYTES, LAYOUT_MMIO_HOLE_GPA, 0x100000000,
					    UINT64_MAX & ~(uint64_t)15 };
	uint64_t end = MEM_BYTES;

	for (unsigned off = 0; off < 16; off++) {
		CHECK_EQ(can_be(8, 0x10000 + off, 0x20000, 0x30000), off == 0);
		CHECK_EQ(can_be(8, 0x10000, 0x20000 + off, 0x30000), off % 2 == 0);
		CHECK_EQ(can_be(8, 0x10000, 0x20000, 0x30000 + off), off % 4 == 0);
	}
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		CHECK(!can_be(8, outside[i], 0x20000, 0x30000));
		CHECK(!can_be(8, 0x10000, outside[i], 0x30000));
		CHECK(!can_be(8, 0x10000, 0x20000, outside[i]));
	}
	/* To the last byte: descriptors 16 each, avail 4 + 2 each + 2, used 4 + 8 each + 2. */
	CHECK(can_be(8, end - 128, 0x20000, 0x30000));
	CHECK(!can_be(8, end - 112, 0x20000, 0x30000));
	CHECK(can_be(8, 0x10000, end - 22, 0x30000));
	CHECK(!can_be(8, 0x10000, end - 20, 0x30000));
	CHECK(can_be(8, 0x10000, 0x20000, end - 72));
	CHECK(!can_be(8, 0x10000, 0x20000, end - 68));
}

/* Both indexes run through 65535 more than once; nothing is lost or repeated. */
static void test_indexes_wrap(void)
{
	set_up(4, false);
	for (unsigned i = 0; i < 150000; i++) {
		driver_offer(&driver, (uint16_t)(i * 3 % 4));
		CHECK_EQ(virtqueue_pop(&queue, &chain), VIRTQUEUE_CHAIN);
		CHECK_EQ(chain.head, i * 3 % 4);
		CHECK_EQ(virtqueue_pop(&queue, &chain), VIRTQUEUE_EMPTY);
		virtqueue_push(&queue, chain.head, i);
		CHECK_EQ(driver.used->idx, (uint16_t)(i + 1));
		CHECK_EQ(driver.used->ring[i % 4].id, i * 3 % 4);
		CHECK_EQ(driver.used->ring[i % 4].len, i);
	}
}

/* A driver may offer as many as the queue has entries. Any more, or going back, is a lie, at
 * whichever index it starts; a signed comparison would miss half of them (class 14). */
static void test_class_11_and_14_index_jumps_and_signs(void)
{
	static const uint16_t starts[] = { 0, 1, 0x7ffc, 0x7fff, 0x8000, 0xfff8, 0xffff };

	for (size_t s = 0; s < sizeof(starts) / sizeof(starts[0]); s++)
		for (unsigned jump = 0; jump <= UINT16_MAX; jump++) {
			set_up(8, false);
			queue.next_avail = starts[s];
			driver.avail->idx = (uint16_t)(starts[s] + jump);
			enum virtqueue_result expected = jump == 0   ? VIRTQUEUE_EMPTY
							 : jump <= 8 ? VIRTQUEUE_CHAIN
								     : VIRTQUEUE_BROKEN;
			CHECK_EQ(virtqueue_pop(&queue, &chain), expected);
		}
}

/* The wish for an interrupt by virtio 1.2, 2.7.7: one is due if used_event was among the entries
 * that were pushed since the last time. Counted one by one instead of by arithmetic. */
static bool event_was_passed(uint16_t before, uint16_t pushed, uint16_t event)
{
	for (uint16_t i = 0; i < pushed; i++)
		if ((uint16_t)(before + i) == event)
			return true;
	return false;
}

static void test_event_index(void)
{
	static const uint16_t starts[] = { 0, 1, 100, 0x7ff0, 0x8000, 0xff80, 0xfffe, 0xffff };

	set_up(128, true);
	for (size_t s = 0; s < sizeof(starts) / sizeof(starts[0]); s++)
		for (uint16_t pushed = 0; pushed <= 128; pushed++)
			for (int d = -140; d <= 140; d++) {
				uint16_t event = (uint16_t)(starts[s] + d);
				queue.signalled_used = starts[s];
				queue.next_used = (uint16_t)(starts[s] + pushed);
				driver.avail->ring[128] = event;
				CHECK_EQ(virtqueue_wants_interrupt(&queue),
					 event_was_passed(starts[s], pushed, event));
				CHECK(!virtqueue_wants_interrupt(&queue));
			}
}

static void test_flags_instead_of_events(void)
{
	set_up(8, false);
	CHECK(!virtqueue_wants_interrupt(&queue));
	virtqueue_push(&queue, 0, 0);
	CHECK(virtqueue_wants_interrupt(&queue));
	CHECK(!virtqueue_wants_interrupt(&queue));
	driver.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	virtqueue_push(&queue, 0, 0);
	CHECK(!virtqueue_wants_interrupt(&queue));
}

static void test_kicks(void)
{
	set_up(8, false);
	virtqueue_disable_kicks(&queue);
	CHECK_EQ(driver.used->flags, VRING_USED_F_NO_NOTIFY);
	CHECK(!virtqueue_enable_kicks(&queue));
	CHECK_EQ(driver.used->flags, 0);
	driver_offer(&driver, 0);
	CHECK(virtqueue_enable_kicks(&queue));
	set_up(8, true);
	driver_offer(&driver, 0);
	CHECK_EQ(virtqueue_pop(&queue, &chain), VIRTQUEUE_CHAIN);
	virtqueue_disable_kicks(&queue);
	CHECK_EQ(driver.used->flags, 0);
	CHECK_EQ(*(uint16_t *)&driver.used->ring[8], 0);
	CHECK(!virtqueue_enable_kicks(&queue));
	CHECK_EQ(*(uint16_t *)&driver.used->ring[8], 1); /* avail_event: kick at the next one */
	driver_offer(&driver, 1);
	CHECK(virtqueue_enable_kicks(&queue));
}

/* Neither part is written to beyond its end. */
/* A closed queue takes nothing, asks for nothing, and gives back what it had taken. */
static void test_closed(void)
{
	for (int event_idx = 0; event_idx < 2; event_idx++) {
		set_up(8, event_idx);
		driver_offer(&driver, 3);
		driver_offer(&driver, 4);
		CHECK_EQ(virtqueue_pop(&queue, &chain), VIRTQUEUE_CHAIN);
		virtqueue_stop(&queue);
		CHECK_EQ(virtqueue_pop(&queue, &chain), VIRTQUEUE_EMPTY);
		driver.avail->idx = 1000;
		CHECK_EQ(virtqueue_pop(&queue, &chain), VIRTQUEUE_EMPTY);
		CHECK(!virtqueue_enable_kicks(&queue));
		virtqueue_push(&queue, 3, 5);
		CHECK_EQ(driver.used->idx, 1);
		CHECK_EQ(driver.used->ring[0].id, 3);
	}
}

static void test_push_stays_in_the_ring(void)
{
	set_up(8, true);
	uint8_t *end = (uint8_t *)driver.used + 4 + 8 * 8 + 2;
	memset(end, 0xa5, 64);
	for (unsigned i = 0; i < 20; i++) {
		virtqueue_push(&queue, 7, UINT32_MAX);
		virtqueue_enable_kicks(&queue);
	}
	CHECK_FILLED(end, 0xa5, 64);
	CHECK_EQ(driver.used->flags, 0);
	CHECK_EQ(driver.used->idx, 20);
}

static void *flip_index(void *unused)
{
	(void)unused;
	while (!atomic_load_explicit(&race_ended, memory_order_relaxed)) {
		__atomic_store_n(&driver.avail->idx, 0x0100, __ATOMIC_RELAXED);
		__builtin_ia32_pause(); /* it leaves the store buffer before the next one hides it */
		__atomic_store_n(&driver.avail->idx, 0x00ff, __ATOMIC_RELAXED);
		__builtin_ia32_pause();
	}
	return NULL;
}

/* Between 0x00ff and 0x0100 there is nothing; an index read byte by byte would be 0 or 0x01ff. */
static void test_class_12_torn_index(void)
{
	pthread_t thread;
	unsigned chains = 0;

	set_up(8, false);
	driver.avail->idx = 0x00ff;
	atomic_store(&race_ended, false);
	CHECK(pthread_create(&thread, NULL, flip_index, NULL) == 0);
	for (unsigned i = 0; i < 20000000 && (i < 4000000 || chains < 100); i++) {
		queue.next_avail = 0x00ff;
		enum virtqueue_result result = virtqueue_pop(&queue, &chain);
		CHECK(result != VIRTQUEUE_BROKEN);
		chains += result == VIRTQUEUE_CHAIN;
	}
	atomic_store(&race_ended, true);
	pthread_join(thread, NULL);
	CHECK(chains >= 100);
}

/* Good values and bad ones, in turns, in every field that a pop reads. */
static void *mutate(void *unused)
{
	struct vring_desc *table = guest_memory_at(&memory, DRIVER_INDIRECT_GPA, 0x1000);
	uint64_t state = 7;

	(void)unused;
	while (!atomic_load_explicit(&race_ended, memory_order_relaxed)) {
		uint64_t r = check_random(&state);
		struct vring_desc *desc = r & 1 ? &driver.desc[r >> 8 & 7] : &table[r >> 8 & 7];
		bool bad = r & 2;
		__atomic_store_n(&desc->addr, bad ? MEM_BYTES - 1 : DRIVER_BUFFER_GPA,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&desc->len, bad ? 0x40000000u : 64u, __ATOMIC_RELAXED);
		__atomic_store_n(&desc->next, bad ? 0xfff0 : (uint16_t)(r >> 16 & 7),
				 __ATOMIC_RELAXED);
		__atomic_store_n(&desc->flags, (uint16_t)(r >> 20 & 1), __ATOMIC_RELAXED);
		__atomic_store_n(&driver.desc[0].flags, (uint16_t)(r & 4), __ATOMIC_RELAXED);
		__atomic_store_n(&driver.desc[0].addr,
				 r & 16 ? DRIVER_INDIRECT_GPA : MEM_BYTES - 16, __ATOMIC_RELAXED);
		__atomic_store_n(&driver.desc[0].len, r & 8 ? 128u : 0x80000000u, __ATOMIC_RELAXED);
		__atomic_store_n(&driver.avail->ring[0], r & 32 ? 0xffff : (uint16_t)(r >> 24 & 7),
				 __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Whatever the other thread writes between check and use: buffers lie in RAM. */
static void test_class_13_double_fetch(void)
{
	pthread_t thread;
	unsigned chains = 0, broken = 0;

	set_up(8, false);
	atomic_store(&race_ended, false);
	CHECK(pthread_create(&thread, NULL, mutate, NULL) == 0);
	while (chains < RACE_POPS || broken < 1000) {
		queue.next_avail = 0;
		driver.avail->idx = 1;
		if (virtqueue_pop(&queue, &chain) == VIRTQUEUE_BROKEN) {
			broken++;
			continue;
		}
		chains++;
		CHECK(chain.head < 8);
		CHECK(chain.readable.n + chain.writable.n <= 8);
		for (unsigned i = 0; i < chain.readable.n + chain.writable.n; i++) {
			uint64_t at =
				(uint64_t)((uint8_t *)chain.buffers[1 + i].iov_base - memory.host);
			CHECK(at < MEM_BYTES && chain.buffers[1 + i].iov_len <= MEM_BYTES - at);
			CHECK(chain.buffers[1 + i].iov_len > 0);
		}
	}
	atomic_store(&race_ended, true);
	pthread_join(thread, NULL);
}

int main(void)
{
	CHECK(guest_memory_map(&memory, MEM_BYTES));
	RUN(test_sizes);
	RUN(test_alignment_and_place);
	RUN(test_indexes_wrap);
	RUN(test_class_11_and_14_index_jumps_and_signs);
	RUN(test_event_index);
	RUN(test_flags_instead_of_events);
	RUN(test_kicks);
	RUN(test_closed);
	RUN(test_push_stays_in_the_ring);
	RUN(test_class_12_torn_index);
	RUN(test_class_13_double_fetch);
	return 0;
}
