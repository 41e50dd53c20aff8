/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/rx_pool.h"

#include <stddef.h>

void rx_pool_reset(struct rx_pool *pool)
{
	pool->ready = NULL;
	pool->ready_end = &pool->ready;
	pool->n_ready = 0;
	pool->ready_bytes = 0;
	pool_init(&pool->free, pool->buffers, sizeof(pool->buffers[0]), VIRTQUEUE_MAX_SIZE);
}

static void append(struct rx_pool *pool, struct rx_buffer *buffer)
{
	buffer->next = NULL;
	*pool->ready_end = buffer;
	pool->ready_end = &buffer->next;
	pool->n_ready++;
	pool->ready_bytes += buffer->bytes;
}

/* 0 if the chain is no receive buffer. */
static uint32_t writable_bytes(const struct virtqueue_chain *chain, uint32_t min_bytes,
			       uint32_t max_bytes)
{
	uint64_t bytes = iov_bytes(&chain->writable);

	if (chain->readable.n != 0 || bytes < min_bytes)
		return 0;
	return bytes < max_bytes ? (uint32_t)bytes : max_bytes;
}

/* False: it is no receive buffer. */
static bool keep(struct rx_pool *pool, struct rx_buffer *buffer, uint32_t min_bytes,
		 uint32_t max_bytes)
{
	const struct virtqueue_chain *chain = &pool->popped;
	bool is_few = chain->writable.n <= RX_FEW_PARTS;

	buffer->bytes = writable_bytes(chain, min_bytes, max_bytes);
	if (buffer->bytes == 0)
		return false;
	buffer->head = chain->head;
	buffer->parts.parts = is_few ? buffer->few : pool->many[buffer - pool->buffers];
	buffer->parts.n = 0;
	iov_append(&buffer->parts, &chain->writable, 0, buffer->bytes);
	return true;
}

bool rx_pool_fill(struct rx_pool *pool, struct virtqueue *queue, uint32_t min_bytes,
		  uint32_t max_bytes)
{
	for (unsigned share = queue->size; share > 0; share--) {
		struct rx_buffer *buffer = pool_get(&pool->free);
		if (buffer == NULL)
			return true; /* the driver offers a head twice: it can wait */
		enum virtqueue_result result = virtqueue_pop(queue, &pool->popped);
		if (result != VIRTQUEUE_CHAIN || !keep(pool, buffer, min_bytes, max_bytes)) {
			rx_pool_put(pool, buffer);
			return result == VIRTQUEUE_EMPTY;
		}
		append(pool, buffer);
	}
	return true;
}

void rx_pool_save(const struct rx_pool *pool, struct rx_pool_state *state)
{
	*state = (struct rx_pool_state){ 0 };
	for (const struct rx_buffer *buffer = pool->ready; buffer != NULL; buffer = buffer->next)
		state->heads[state->n++] = buffer->head;
}

bool rx_pool_restore(struct rx_pool *pool, const struct virtqueue *queue,
		     const struct rx_pool_state *state, uint32_t min_bytes, uint32_t max_bytes)
{
	if (state->n > (queue->ready ? queue->size : 0))
		return false;
	for (unsigned i = 0; i < state->n; i++) {
		struct rx_buffer *buffer = pool_get(&pool->free);
		if (buffer == NULL)
			return false;
		if (!virtqueue_take_again(queue, state->heads[i], &pool->popped) ||
		    !keep(pool, buffer, min_bytes, max_bytes)) {
			rx_pool_put(pool, buffer);
			return false;
		}
		append(pool, buffer);
	}
	return true;
}

bool rx_pool_is_exhausted(const struct rx_pool *pool)
{
	return pool->n_ready == 0 && pool_is_empty(&pool->free);
}

struct rx_buffer *rx_pool_take(struct rx_pool *pool)
{
	struct rx_buffer *buffer = pool->ready;

	if (buffer == NULL)
		return NULL;
	pool->ready = buffer->next;
	if (pool->ready == NULL)
		pool->ready_end = &pool->ready;
	pool->n_ready--;
	pool->ready_bytes -= buffer->bytes;
	return buffer;
}

void rx_pool_untake(struct rx_pool *pool, struct rx_buffer *buffer)
{
	buffer->next = pool->ready;
	if (pool->ready == NULL)
		pool->ready_end = &buffer->next;
	pool->ready = buffer;
	pool->n_ready++;
	pool->ready_bytes += buffer->bytes;
}

void rx_pool_put(struct rx_pool *pool, struct rx_buffer *buffer)
{
	pool_put(&pool->free, buffer);
}
