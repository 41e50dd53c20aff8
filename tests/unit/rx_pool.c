/* SPDX-License-Identifier: MIT */
/* The pool of receive buffers, against a queue of a driver's own. */
#include "virtio-mmio/rx_pool.h"

#include "tests/unit/check.h"

#define SIZE       16
#define BUFFER_GPA 0x10000u
#define STEP       0x1000u

static struct guest_memory memory;
static struct virtqueue queue;
static struct rx_pool pool;
static struct vring_desc *desc;
static struct vring_avail *avail;

static void set_up(uint16_t size)
{
	memset(memory.host, 0, 0x10000);
	queue = (struct virtqueue){ .size = size, .avail_gpa = 0x4000, .used_gpa = 0x8000 };
	CHECK(virtqueue_make_ready(&queue, &memory, false, false));
	desc = guest_memory_at(&memory, 0, 1);
	avail = guest_memory_at(&memory, 0x4000, 1);
	rx_pool_reset(&pool);
}

static void offer(uint16_t head, uint32_t bytes, uint16_t flags)
{
	desc[head] = (struct vring_desc){ BUFFER_GPA + head * STEP, bytes, flags, 0 };
	avail->ring[avail->idx % queue.size] = head;
	avail->idx++;
}

static void check_pool(unsigned n, uint64_t bytes)
{
	uint64_t total = 0;
	unsigned count = 0;

	for (struct rx_buffer *at = pool.ready; at != NULL; at = at->next, count++)
		total += at->bytes;
	CHECK_EQ(count, n);
	CHECK_EQ(total, bytes);
	CHECK_EQ(pool.n_ready, n);
	CHECK_EQ(pool.ready_bytes, bytes);
	if (n == 0)
		CHECK(pool.ready_end == &pool.ready);
	else
		CHECK(*pool.ready_end == NULL);
}

static void test_order(void)
{
	set_up(SIZE);
	CHECK(rx_pool_take(&pool) == NULL);
	CHECK(rx_pool_fill(&pool, &queue, 10, 1000));
	check_pool(0, 0);
	for (uint16_t head = 0; head < 5; head++)
		offer((uint16_t)(4 - head), 100u + head, VRING_DESC_F_WRITE);
	CHECK(rx_pool_fill(&pool, &queue, 10, 1000));
	check_pool(5, 510);
	for (uint16_t head = 0; head < 5; head++) {
		struct rx_buffer *buffer = rx_pool_take(&pool);
		CHECK_EQ(buffer->head, 4 - head);
		CHECK_EQ(buffer->bytes, 100 + head);
		rx_pool_put(&pool, buffer);
	}
	CHECK(rx_pool_take(&pool) == NULL);
	check_pool(0, 0);
}

/* A chain that is put back comes first, also when it was the last. */
static void test_untake(void)
{
	struct rx_buffer *taken[4];

	set_up(SIZE);
	for (uint16_t head = 0; head < 4; head++)
		offer(head, 100, VRING_DESC_F_WRITE);
	CHECK(rx_pool_fill(&pool, &queue, 10, 1000));
	for (unsigned i = 0; i < 4; i++)
		taken[i] = rx_pool_take(&pool);
	for (unsigned i = 4; i > 1; i--)
		rx_pool_untake(&pool, taken[i - 1]);
	rx_pool_put(&pool, taken[0]);
	check_pool(3, 300);
	offer(9, 50, VRING_DESC_F_WRITE);
	CHECK(rx_pool_fill(&pool, &queue, 10, 1000));
	for (unsigned i = 1; i < 4; i++)
		CHECK_EQ(rx_pool_take(&pool)->head, i);
	CHECK_EQ(rx_pool_take(&pool)->head, 9);
	check_pool(0, 0);
}

static void test_limits(void)
{
	static const struct {
		uint32_t bytes;
		uint16_t flags;
		bool good;
		uint32_t counts;
	} cases[] = {
		{ 10, VRING_DESC_F_WRITE, true, 10 },
		{ 9, VRING_DESC_F_WRITE, false, 0 },
		{ 1000, VRING_DESC_F_WRITE, true, 1000 },
		{ 4096, VRING_DESC_F_WRITE, true, 1000 },
		{ 100, 0, false, 0 },
		{ 0, VRING_DESC_F_WRITE, false, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_up(SIZE);
		offer(0, cases[i].bytes, cases[i].flags);
		CHECK_EQ(rx_pool_fill(&pool, &queue, 10, 1000), cases[i].good);
		check_pool(cases[i].good, cases[i].counts);
	}
	set_up(SIZE); /* a readable part before a good one */
	desc[1] = (struct vring_desc){ BUFFER_GPA, 100, VRING_DESC_F_WRITE, 0 };
	offer(0, 1, VRING_DESC_F_NEXT);
	desc[0].next = 1;
	CHECK(!rx_pool_fill(&pool, &queue, 10, 1000));
	set_up(SIZE); /* an index jump */
	avail->idx = SIZE + 1;
	CHECK(!rx_pool_fill(&pool, &queue, 10, 1000));
}

/* A driver that offers its heads twice gets no more buffers than there are; the rest stays in the
 * queue, and is taken when there is room. */
static void test_full(void)
{
	struct rx_buffer *taken[VIRTQUEUE_MAX_SIZE];

	set_up(VIRTQUEUE_MAX_SIZE);
	for (unsigned i = 0; i < 3; i++) {
		for (uint16_t head = 0; head < 100; head++)
			offer(head, 10, VRING_DESC_F_WRITE);
		CHECK(rx_pool_fill(&pool, &queue, 10, 1000));
		check_pool(i == 0 ? 100 : VIRTQUEUE_MAX_SIZE, i == 0 ? 1000 : 1280);
		if (i == 1)
			break;
	}
	CHECK_EQ(pool.free.fresh, VIRTQUEUE_MAX_SIZE);
	for (unsigned i = 0; i < VIRTQUEUE_MAX_SIZE; i++) {
		taken[i] = rx_pool_take(&pool);
		for (unsigned j = 0; j < i; j++)
			CHECK(taken[i] != taken[j]);
	}
	CHECK(rx_pool_fill(&pool, &queue, 10, 1000));
	check_pool(0, 0);
	rx_pool_put(&pool, taken[5]);
	CHECK(rx_pool_fill(&pool, &queue, 10, 1000));
	check_pool(1, 10);
	rx_pool_reset(&pool);
	check_pool(0, 0);
	CHECK(rx_pool_fill(&pool, &queue, 10, 1000));
	check_pool(200 - VIRTQUEUE_MAX_SIZE - 1, 710);
}

/* Any order of take, put back and give back: nothing is lost or doubled. */
static void test_random(void)
{
	struct rx_buffer *taken[VIRTQUEUE_MAX_SIZE];
	unsigned n_taken = 0, offered = 0;
	bool with_driver[SIZE];
	uint64_t state = 99;

	set_up(SIZE);
	memset(with_driver, true, sizeof(with_driver));
	for (unsigned i = 0; i < 100000; i++) {
		uint16_t head = (uint16_t)(check_random(&state) % SIZE);
		unsigned what = check_random(&state) % 4;
		if (what == 0 && with_driver[head]) {
			offer(head, 10u + head, VRING_DESC_F_WRITE);
			with_driver[head] = false;
			offered++;
			CHECK(rx_pool_fill(&pool, &queue, 10, 1000));
		} else if (what == 1 && pool.n_ready > 0) {
			taken[n_taken++] = rx_pool_take(&pool);
		} else if (what == 2 && n_taken > 0) {
			rx_pool_untake(&pool, taken[--n_taken]);
		} else if (what == 3 && n_taken > 0) {
			with_driver[taken[--n_taken]->head] = true;
			rx_pool_put(&pool, taken[n_taken]);
			offered--;
		}
		CHECK_EQ(pool.n_ready + n_taken, offered);
		CHECK(pool.free.fresh <= SIZE + 1);
	}
}

int main(void)
{
	CHECK(guest_memory_map(&memory, 1 << 20));
	RUN(test_order);
	RUN(test_untake);
	RUN(test_limits);
	RUN(test_full);
	RUN(test_random);
	guest_memory_unmap(&memory);
	return 0;
}
