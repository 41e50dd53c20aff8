#include "virtio-mmio/rx_pool.h"

#include <stddef.h>
#include <string.h>

void rx_pool_reset(struct rx_pool *pool)
{
	pool->ready = NULL;
	pool->ready_end = &pool->ready;
	pool->n_ready = 0;
	pool->ready_bytes = 0;
	pool->free = NULL;
	pool->fresh = 0;
}

static struct rx_buffer *get_free(struct rx_pool *pool)
{
	struct rx_buffer *buffer = pool->free;

	if (buffer != NULL)
		pool->free = buffer->next;
	else if (pool->fresh < VIRTQUEUE_MAX_SIZE)
		buffer = &pool->buffers[pool->fresh++];
	return buffer;
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
	uint64_t bytes = 0;

	for (unsigned i = 0; i < chain->n_writable; i++)
		bytes += chain->buffers[i].iov_len;
	if (chain->n_readable != 0 || bytes < min_bytes)
		return 0;
	return bytes < max_bytes ? (uint32_t)bytes : max_bytes;
}

/* False: it is no receive buffer. */
static bool keep(struct rx_pool *pool, struct rx_buffer *buffer, uint32_t min_bytes,
		 uint32_t max_bytes)
{
	const struct virtqueue_chain *chain = &pool->popped;
	struct iovec *parts = chain->n_writable <= RX_FEW_PARTS
				      ? buffer->few
				      : pool->many[buffer - pool->buffers];

	buffer->bytes = writable_bytes(chain, min_bytes, max_bytes);
	if (buffer->bytes == 0)
		return false;
	memcpy(parts, chain->buffers, chain->n_writable * sizeof(*parts));
	buffer->head = chain->head;
	buffer->n_parts = chain->n_writable;
	buffer->parts = parts;
	return true;
}

bool rx_pool_fill(struct rx_pool *pool, struct virtqueue *queue, uint32_t min_bytes,
		  uint32_t max_bytes)
{
	for (unsigned share = queue->size; share > 0; share--) {
		struct rx_buffer *buffer = get_free(pool);
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

bool rx_pool_is_exhausted(const struct rx_pool *pool)
{
	return pool->n_ready == 0 && pool->free == NULL && pool->fresh == VIRTQUEUE_MAX_SIZE;
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
	buffer->next = pool->free;
	pool->free = buffer;
}
