/* SPDX-License-Identifier: MIT */
/*
 * A fixed array of items, taken and put back in any order without any search. The item that was put back last
 * is taken first, because its memory is warm; one that was never used only if there is no other: memory that was
 * never touched costs nothing.
 *
 * Each item begins with a pointer, which is the pool's while the item is free.
 */
#ifndef VIRTIO_MMIO_POOL_H
#define VIRTIO_MMIO_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct pool {
	void *items;
	size_t item_bytes;
	unsigned n;
	unsigned fresh; /* how many items were ever taken: the first ones */
	void *free;     /* the one put back last */
};

/* All items are free, also those that were taken before. */
static inline void pool_init(struct pool *pool, void *items, size_t item_bytes, unsigned n)
{
	*pool = (struct pool){ .items = items, .item_bytes = item_bytes, .n = n };
}

static inline bool pool_is_empty(const struct pool *pool)
{
	return pool->free == NULL && pool->fresh == pool->n;
}

/* A free item, with what its last user left in it (zeroes, if the array was zeroed and there was none); NULL if
 * all are taken. */
static inline void *pool_get(struct pool *pool)
{
	void *item = pool->free;

	if (item != NULL)
		memcpy(&pool->free, item, sizeof(pool->free));
	else if (pool->fresh < pool->n)
		item = (char *)pool->items + pool->item_bytes * pool->fresh++;
	return item;
}

/* `item` was taken. */
static inline void pool_put(struct pool *pool, void *item)
{
	memcpy(item, &pool->free, sizeof(pool->free));
	pool->free = item;
}

#endif
