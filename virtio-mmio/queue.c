/* SPDX-License-Identifier: MIT */
#include "virtio-mmio/queue.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static_assert(sizeof(struct vring_desc) == 16, "virtio 1.2, 2.7.5");
static_assert(sizeof(struct vring_used_elem) == 8, "virtio 1.2, 2.7.8");

/* Ring indexes are shared with the guest: one whole access each. musl's memcpy may go byte by byte,
 * and a torn index is a wrong one. */
static uint16_t load_acquire(const uint16_t *index)
{
	return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

static uint16_t load_relaxed(const uint16_t *field)
{
	return __atomic_load_n(field, __ATOMIC_RELAXED);
}

static void store_release(uint16_t *index, uint16_t value)
{
	__atomic_store_n(index, value, __ATOMIC_RELEASE);
}

/* Two 16-bit fields that follow the rings (virtio 1.2, 2.7.6 and 2.7.8). */
static const uint16_t *used_event(const struct virtqueue *queue)
{
	return &queue->avail->ring[queue->size];
}

static uint16_t *avail_event(const struct virtqueue *queue)
{
	return (uint16_t *)&queue->used->ring[queue->size];
}

bool virtqueue_make_ready(struct virtqueue *queue, const struct guest_memory *memory,
			  bool event_idx, bool indirect)
{
	uint64_t size = queue->size;

	if (size == 0 || size > VIRTQUEUE_MAX_SIZE || (size & (size - 1)) != 0)
		return false;
	if (queue->desc_gpa % 16 != 0 || queue->avail_gpa % 2 != 0 || queue->used_gpa % 4 != 0)
		return false;
	queue->desc = guest_memory_at(memory, queue->desc_gpa, size * sizeof(struct vring_desc));
	queue->avail = guest_memory_at(memory, queue->avail_gpa,
				       sizeof(struct vring_avail) + (size + 1) * sizeof(uint16_t));
	queue->used =
		guest_memory_at(memory, queue->used_gpa,
				sizeof(struct vring_used) + size * sizeof(struct vring_used_elem) +
					sizeof(uint16_t));
	if (queue->desc == NULL || queue->avail == NULL || queue->used == NULL)
		return false;
	queue->memory = memory;
	queue->next_avail = queue->next_used = queue->signalled_used = 0;
	queue->event_idx = event_idx;
	queue->indirect = indirect;
	queue->closed = false;
	queue->ready = true;
	return true;
}

/* A copy of entry `index` of a table whose bounds the caller has checked. The guest may change the
 * entry during the copy: whatever arrives is checked before use. */
static struct vring_desc read_descriptor(const struct vring_desc *table, uint32_t index)
{
	struct vring_desc copy;

	copy.addr = __atomic_load_n(&table[index].addr, __ATOMIC_RELAXED);
	copy.len = __atomic_load_n(&table[index].len, __ATOMIC_RELAXED);
	copy.flags = load_relaxed(&table[index].flags);
	copy.next = load_relaxed(&table[index].next);
	return copy;
}

static bool add_buffer(const struct virtqueue *queue, struct virtqueue_chain *chain,
		       const struct vring_desc *desc)
{
	unsigned n = chain->readable.n + chain->writable.n;
	void *host = guest_memory_at(queue->memory, desc->addr, desc->len);

	if (n == VIRTQUEUE_MAX_SIZE || host == NULL)
		return false;
	if (desc->flags & VRING_DESC_F_WRITE)
		chain->writable.n++;
	else if (chain->writable.n > 0)
		return false; /* virtio 1.2, 2.7.4.2: readable ones come first */
	else
		chain->readable.n++;
	chain->buffers[1 + n] = (struct iovec){ host, desc->len };
	return true;
}

/* Walks a table of `entries` descriptors from `index` on. No chain is longer than the queue (virtio
 * 1.2, 2.7.5.3.1 and 2.7.4.1), which also ends loops. */
static bool walk_table(const struct virtqueue *queue, struct virtqueue_chain *chain,
		       const struct vring_desc *table, uint32_t entries, uint32_t index)
{
	for (uint32_t seen = 0; seen < queue->size; seen++) {
		if (index >= entries)
			return false;
		struct vring_desc desc = read_descriptor(table, index);
		if ((desc.flags & VRING_DESC_F_INDIRECT) || !add_buffer(queue, chain, &desc))
			return false;
		if (!(desc.flags & VRING_DESC_F_NEXT))
			return true;
		index = desc.next;
	}
	return false;
}

/* An indirect table (virtio 1.2, 2.7.5.3) stands for the whole chain. The specification lets direct
 * descriptors precede it; no driver does that, and this device refuses it. */
static bool walk_indirect(const struct virtqueue *queue, struct virtqueue_chain *chain,
			  const struct vring_desc *desc)
{
	uint32_t entries = desc->len / (uint32_t)sizeof(struct vring_desc);

	if (!queue->indirect || (desc->flags & VRING_DESC_F_NEXT) ||
	    desc->len % sizeof(struct vring_desc) != 0 || entries == 0 || desc->addr % 8 != 0)
		return false;
	const struct vring_desc *table = guest_memory_at(queue->memory, desc->addr, desc->len);
	return table != NULL && walk_table(queue, chain, table, entries, 0);
}

static inline bool walk(const struct virtqueue *queue, uint16_t head, struct virtqueue_chain *chain)
{
	chain->head = head;
	chain->readable = chain->writable = (struct iov){ chain->buffers + 1, 0 };
	struct vring_desc first = read_descriptor(queue->desc, head);
	bool walked = (first.flags & VRING_DESC_F_INDIRECT)
			      ? walk_indirect(queue, chain, &first)
			      : walk_table(queue, chain, queue->desc, queue->size, head);
	chain->writable.parts += chain->readable.n;
	return walked;
}

bool virtqueue_take_again(const struct virtqueue *queue, uint16_t head,
			  struct virtqueue_chain *chain)
{
	return head < queue->size && walk(queue, head, chain);
}

enum virtqueue_result virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain)
{
	if (queue->closed)
		return VIRTQUEUE_EMPTY;
	uint16_t available = (uint16_t)(load_acquire(&queue->avail->idx) - queue->next_avail);

	if (available == 0)
		return VIRTQUEUE_EMPTY;
	if (available > queue->size)
		return VIRTQUEUE_BROKEN; /* an index jump would replay old chains */
	uint16_t head = load_relaxed(&queue->avail->ring[queue->next_avail % queue->size]);
	if (head >= queue->size || !walk(queue, head, chain))
		return VIRTQUEUE_BROKEN;
	queue->next_avail++;
	return VIRTQUEUE_CHAIN;
}

void virtqueue_stop(struct virtqueue *queue)
{
	queue->closed = true;
}

void virtqueue_go_on(struct virtqueue *queue)
{
	queue->closed = false;
}

bool virtqueue_enable_kicks(struct virtqueue *queue)
{
	if (queue->closed)
		return false;
	if (queue->event_idx)
		store_release(avail_event(queue), queue->next_avail);
	else
		store_release(&queue->used->flags, 0);
	/* The store must be seen before the index is read: the driver does the reverse. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return load_acquire(&queue->avail->idx) != queue->next_avail;
}

uint16_t virtqueue_await_next(struct virtqueue *queue)
{
	uint16_t index = load_acquire(&queue->avail->idx);

	if (queue->event_idx)
		store_release(avail_event(queue), index);
	else
		store_release(&queue->used->flags, 0);
	return index;
}

void virtqueue_disable_kicks(struct virtqueue *queue)
{
	/* With EVENT_IDX the event index lies behind and asks for nothing. */
	if (!queue->event_idx)
		store_release(&queue->used->flags, VRING_USED_F_NO_NOTIFY);
}

void virtqueue_put(struct virtqueue *queue, uint16_t i, uint16_t head, uint32_t written_bytes)
{
	uint16_t index = (uint16_t)(queue->next_used + i);
	struct vring_used_elem *element = &queue->used->ring[index % queue->size];

	__atomic_store_n(&element->id, head, __ATOMIC_RELAXED);
	__atomic_store_n(&element->len, written_bytes, __ATOMIC_RELAXED);
}

void virtqueue_publish(struct virtqueue *queue, uint16_t n)
{
	queue->next_used = (uint16_t)(queue->next_used + n);
	store_release(&queue->used->idx, queue->next_used);
}

void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written_bytes)
{
	virtqueue_put(queue, 0, head, written_bytes);
	virtqueue_publish(queue, 1);
}

bool virtqueue_wants_interrupt(struct virtqueue *queue)
{
	uint16_t before = queue->signalled_used, now = queue->next_used;

	if (before == now)
		return false;
	queue->signalled_used = now;
	/* The used index must be seen before the driver's wish is read. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!queue->event_idx)
		return !(load_relaxed(&queue->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	/* virtio 1.2, 2.7.7.2: the driver asked at used_event; was it passed just now? */
	uint16_t event = load_relaxed(used_event(queue));
	return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}
