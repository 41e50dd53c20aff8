/* SPDX-License-Identifier: MIT */
/* The pool of a fixed array. */
#include "virtio-mmio/pool.h"

#include "tests/unit/check.h"

#define N 5u

struct item {
	struct item *next;
	unsigned taken;
};

static struct item items[N];
static struct pool pool;

static void set_up(void)
{
	memset(items, 0, sizeof(items));
	pool_init(&pool, items, sizeof(items[0]), N);
}

/* All of them, each once, then none. */
static void check_all_free(void)
{
	for (unsigned i = 0; i < N; i++) {
		CHECK(!pool_is_empty(&pool));
		struct item *item = pool_get(&pool);
		CHECK(item >= items && item < items + N && item->taken == 0);
		item->taken = 1;
	}
	CHECK(pool_is_empty(&pool));
	CHECK(pool_get(&pool) == NULL);
}

static void test_all(void)
{
	set_up();
	check_all_free();
}

/* The last put back comes first; what was never used is touched only when all others are taken. */
static void test_warm_first(void)
{
	struct item *first, *second;

	set_up();
	first = pool_get(&pool);
	second = pool_get(&pool);
	CHECK_EQ(pool.fresh, 2);
	pool_put(&pool, first);
	pool_put(&pool, second);
	CHECK(pool_get(&pool) == second);
	CHECK(pool_get(&pool) == first);
	CHECK_EQ(pool.fresh, 2);
	for (unsigned i = 2; i < N; i++)
		CHECK(items[i].next == NULL);
	CHECK(pool_get(&pool) == items + 2);
	CHECK_EQ(pool.fresh, 3);
}

static void test_content_stays(void)
{
	struct item *item;

	set_up();
	item = pool_get(&pool);
	item->taken = 7;
	pool_put(&pool, item);
	CHECK(pool_get(&pool) == item);
	CHECK_EQ(item->taken, 7);
}

static void test_init_frees_all(void)
{
	set_up();
	pool_put(&pool, pool_get(&pool));
	pool_get(&pool);
	pool_get(&pool);
	pool_init(&pool, items, sizeof(items[0]), N);
	check_all_free();
}

static void test_any_order(void)
{
	struct item *mine[N];
	uint64_t state = 1;
	unsigned n = 0;

	set_up();
	for (unsigned round = 0; round < 100000; round++) {
		if (check_random(&state) % 2 == 0) {
			struct item *item = pool_get(&pool);
			CHECK_EQ(item == NULL, n == N);
			if (item == NULL)
				continue;
			CHECK_EQ(item->taken, 0);
			item->taken = 1;
			mine[n++] = item;
		} else if (n > 0) {
			unsigned which = (unsigned)(check_random(&state) % n);
			mine[which]->taken = 0;
			pool_put(&pool, mine[which]);
			mine[which] = mine[--n];
		}
		CHECK_EQ(pool_is_empty(&pool), n == N);
	}
	while (n > 0) {
		mine[--n]->taken = 0;
		pool_put(&pool, mine[n]);
	}
	check_all_free();
}

int main(void)
{
	RUN(test_all);
	RUN(test_warm_first);
	RUN(test_content_stays);
	RUN(test_init_frees_all);
	RUN(test_any_order);
	return 0;
}
