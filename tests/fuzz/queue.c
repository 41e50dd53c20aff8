/* SPDX-License-Identifier: MIT */
/* The input fills the rings of a queue; the device then takes all there is (bug classes 5, 11, 16,
 * 19). Every buffer lies in RAM, and the work is bounded. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/race.h"

#include <limits.h>

#include "virtio-mmio/queue.h"

#define MEM_BYTES   ((uint64_t)256 << 10)
#define TABLE_GPA   0x8000u
#define TABLE_BYTES 0x8000u
#define MAX_POPS    (3 * VIRTQUEUE_MAX_SIZE)
#define RACE_LOOKS  2000u

static struct guest_memory memory;

/* Seeds: 0x00 plain places, then size, features, indexes, and descriptors of 8 bytes or so. */
static void write_seed(const char *name, uint8_t features, unsigned descriptors, uint8_t flags)
{
	uint8_t seed[1024] = { 0, 4 /* 16 entries */, features, 0, 0, 0, 0, 6 /* heads */ };
	size_t n = 8;

	for (uint8_t head = 0; head < 6; head++, n += 2)
		seed[n] = head;
	seed[n++] = (uint8_t)descriptors;
	for (unsigned i = 0; i < descriptors; i++) {
		uint8_t desc[] = { (uint8_t)i, 0x20, 0,     (uint8_t)(i + 8), 0,
				   0x10,       0,    flags, (uint8_t)(i + 1), 0 };
		memcpy(seed + n, desc, sizeof(desc));
		n += sizeof(desc);
	}
	fuzz_seed(name, seed, n);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	fuzz_map_memory(&memory, MEM_BYTES);
	write_seed("single", 0, 8, 0);
	write_seed("chained", 1, 16, 1);
	write_seed("writable", 3, 16, 2);
	write_seed("indirect", 2, 16, 4);
	write_seed("closed", 5, 16, 1);
	write_seed("loop", 3, 5, 1);
	return 0;
}

/* Places: the usual ones unless the first byte wants others. */
static void place_queue(struct virtqueue *queue, struct fuzz_input *input)
{
	uint8_t odd = fuzz_byte(input);

	queue->size = (uint16_t)(1u << (fuzz_byte(input) & 15));
	queue->desc_gpa = odd & 1 ? fuzz_number(input) : 0x1000;
	queue->avail_gpa = odd & 2 ? fuzz_number(input) : 0x3000;
	queue->used_gpa = odd & 4 ? fuzz_number(input) : 0x4000;
	if (odd & 8)
		queue->size = fuzz_u16(input);
}

static void put_descriptors(const struct virtqueue *queue, struct fuzz_input *input)
{
	for (unsigned n = fuzz_byte(input); n > 0 && input->left > 0; n--) {
		uint8_t index = fuzz_byte(input);
		bool indirect = index & 0x80;
		struct vring_desc *table =
			indirect ? guest_memory_at(&memory, TABLE_GPA, TABLE_BYTES)
				 : (struct vring_desc *)queue->desc;
		struct vring_desc *desc = &table[index % (indirect ? 128 : queue->size)];
		desc->addr = fuzz_number(input);
		desc->len = (uint32_t)fuzz_number(input);
		desc->flags = fuzz_byte(input);
		desc->next = fuzz_u16(input);
		if (desc->flags & 8) /* point an indirect one where the table is */
			desc->addr = TABLE_GPA, desc->len = desc->next * 16u;
	}
}

static const struct race_place places[] = {
	{ 0x1000, 0x2000 },   { 0x3000, 0x300 }, { 0x3000, 8 },
	{ TABLE_GPA, 0x800 }, { TABLE_GPA, 64 },
};

static void check_chain(const struct virtqueue *queue, const struct virtqueue_chain *chain)
{
	unsigned n = chain->readable.n + chain->writable.n;

	CHECK(chain->head < queue->size);
	CHECK(n >= 1 && n <= queue->size);
	for (unsigned i = 0; i < n; i++) {
		CHECK(chain->buffers[1 + i].iov_len > 0);
		CHECK(fuzz_in_memory(&memory, chain->buffers[1 + i].iov_base,
				     chain->buffers[1 + i].iov_len));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz_input input = { data, bytes };
	struct virtqueue queue = { 0 };
	struct virtqueue_chain chain;
	unsigned pops = 0;

	place_queue(&queue, &input);
	uint8_t features = fuzz_byte(&input);
	if (!virtqueue_make_ready(&queue, &memory, features & 1, features & 2))
		return 0;
	CHECK(queue.size <= VIRTQUEUE_MAX_SIZE);
	CHECK(fuzz_in_memory(&memory, queue.desc, queue.size * 16u));
	CHECK(fuzz_in_memory(&memory, queue.avail, queue.size * 2u + 6));
	CHECK(fuzz_in_memory(&memory, queue.used, queue.size * 8u + 6));
	queue.next_avail = queue.next_used = fuzz_u16(&input);
	uint16_t extra = fuzz_u16(&input); /* mostly 0: an index jump */
	uint8_t heads = fuzz_byte(&input);
	for (unsigned i = 0; i < heads && input.left > 0; i++)
		queue.avail->ring[(queue.next_avail + i) % queue.size] = fuzz_u16(&input);
	queue.avail->idx = (uint16_t)(queue.next_avail + heads + extra);
	put_descriptors(&queue, &input);
	uint16_t first = queue.next_used;
	race_begin(&memory, places, sizeof(places) / sizeof(places[0]), NULL, data, bytes);
	/* With a second vCPU what is broken or empty may not be so at the next look. */
	for (unsigned looks = 0; looks < (RACING ? RACE_LOOKS : UINT_MAX); looks++) {
		if (virtqueue_pop(&queue, &chain) != VIRTQUEUE_CHAIN) {
			if (RACING)
				continue;
			break;
		}
		CHECK(++pops <= (RACING ? RACE_LOOKS : MAX_POPS));
		check_chain(&queue, &chain);
		virtqueue_push(&queue, chain.head, (uint32_t)chain.buffers[1].iov_len);
		virtqueue_wants_interrupt(&queue);
		if (pops % 3 == 0)
			virtqueue_disable_kicks(&queue);
		if (features & 4 && pops == 4)
			virtqueue_stop(&queue);
		CHECK(pops <= 4 || !queue.closed);
	}
	CHECK(!virtqueue_enable_kicks(&queue) || !queue.closed);
	race_end();
	CHECK_EQ((uint16_t)(queue.next_used - first), (uint16_t)pops);
	fuzz_clear_memory(&memory);
	return 0;
}
