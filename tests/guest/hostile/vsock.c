/* SPDX-License-Identifier: MIT */
/* Packets that lie: lengths, addresses, states. */
#include "hostile/vsock_say.h"

static void header_too_short(const struct target *target)
{
	(void)target;
	for (uint32_t bytes = 1; bytes < HEADER; bytes++)
		say_put(say_packet(VSOCK_REQUEST, ++say_port, ECHO, 0), bytes);
}

static void header_byte_by_byte(const struct target *target)
{
	struct virtio_queue *queue = &vsock.queues[VSOCK_TX];
	struct vsock_packet *new = say_packet(VSOCK_REQUEST, ++say_port, NOBODY, 0);

	(void)target;
	say_buffers();
	for (uint16_t i = 0; i < HEADER; i++) {
		queue->desc[i].gpa = (uintptr_t) new + i;
		queue->desc[i].length = 1;
		queue->desc[i].flags = i < HEADER - 1 ? DESC_NEXT : 0;
		queue->desc[i].next = (uint16_t)(i + 1);
	}
	virtio_offer(queue, 0);
	virtio_kick(&vsock.device, queue);
	say_expect_reset();
}

static void length_beyond_the_chain(const struct target *target)
{
	(void)target;
	say_open();
	say_put(say_packet(VSOCK_RW, say_port, ECHO, 2000), HEADER + 1000);
	say_expect_reset();
}

static void length_of_4g(const struct target *target)
{
	(void)target;
	say_open();
	say_put(say_packet(VSOCK_RW, say_port, ECHO, UINT32_MAX), HEADER + 1000);
	say_expect_reset();
}

static void length_wraps(const struct target *target)
{
	(void)target;
	say_open();
	say_put(say_packet(VSOCK_RW, say_port, ECHO, UINT32_MAX - HEADER + 1), HEADER + 1000);
	say_expect_reset();
}

/* More than any packet may have, in a chain that has it. */
static void length_over_the_limit(const struct target *target)
{
	struct virtio_queue *queue = &vsock.queues[VSOCK_TX];

	(void)target;
	say_open();
	struct vsock_packet *new = say_packet(VSOCK_RW, say_port, ECHO, sizeof(spare));
	uint16_t slot = (uint16_t)(new - vsock.tx),
		 other = (uint16_t)(slot + 64) % VIRTIO_QUEUE_SIZE;
	queue->desc[slot].gpa = (uintptr_t) new;
	queue->desc[slot].length = HEADER;
	queue->desc[slot].flags = DESC_NEXT;
	queue->desc[slot].next = other;
	queue->desc[other].gpa = (uintptr_t)spare;
	queue->desc[other].length = sizeof(spare);
	queue->desc[other].flags = 0;
	virtio_offer(queue, slot);
	virtio_kick(&vsock.device, queue);
	say_expect_reset();
}

static void data_behind_the_length(const struct target *target)
{
	(void)target;
	say_open();
	say_put(say_packet(VSOCK_RW, say_port, ECHO, 1), HEADER + VSOCK_DATA_MAX);
	if (!say_hear(say_port, VSOCK_RW))
		fails("no echo");
}

static void cids_of_others(const struct target *target)
{
	static const uint64_t cids[] = { 0, 1, 3, 4, UINT32_MAX, 1ull << 32 | 2, UINT64_MAX };

	(void)target;
	say_buffers();
	for (unsigned i = 0; i < sizeof(cids) / sizeof(cids[0]); i++) {
		struct vsock_packet *new = say_packet(VSOCK_REQUEST, ++say_port, ECHO, 0);
		new->dst_cid = cids[i];
		say_put(new, HEADER);
		new = say_packet(VSOCK_REQUEST, ++say_port, ECHO, 0);
		new->src_cid = cids[i] == 3 ? 5 : cids[i];
		say_put(new, HEADER);
	}
	if (vsock.queues[VSOCK_RX].used.index != 0)
		fails("an answer to another address");
}

static void types_unknown(const struct target *target)
{
	static const uint16_t types[] = { 0, 2, 3, 0x8000, 0xffff };

	(void)target;
	say_buffers();
	for (unsigned i = 0; i < 5; i++) {
		struct vsock_packet *new = say_packet(VSOCK_REQUEST, ++say_port, ECHO, 0);
		new->type = types[i];
		say_put(new, HEADER);
		say_expect_reset();
	}
}

static void operations_unknown(const struct target *target)
{
	static const uint16_t ops[] = { 0, 8, 9, 0x100, 0x8001, 0xffff };

	(void)target;
	for (unsigned i = 0; i < 6; i++) {
		say_open();
		say_op(ops[i], say_port, ECHO);
	}
}

static void every_operation_without_a_connection(const struct target *target)
{
	(void)target;
	say_buffers();
	for (uint16_t op = 0; op < 10; op++)
		if (op != VSOCK_REQUEST && op != VSOCK_RST) {
			say_op(op, ++say_port, ECHO);
			say_expect_reset();
		}
}

/* A guest's answer to a question that nobody asked, and its question twice. */
static void response_unasked(const struct target *target)
{
	(void)target;
	say_open();
	say_op(VSOCK_RESPONSE, say_port, ECHO);
	say_open();
	say_op(VSOCK_REQUEST, say_port, ECHO);
}

static void data_before_the_response(const struct target *target)
{
	(void)target;
	say_buffers();
	for (unsigned i = 0; i < 20; i++) {
		say_op(VSOCK_REQUEST, ++say_port, ECHO);
		say_put(say_packet(VSOCK_RW, say_port, ECHO, 1000), HEADER + 1000);
		say_op(VSOCK_SHUTDOWN, say_port, ECHO);
	}
}

static void data_after_the_end(const struct target *target)
{
	(void)target;
	say_open();
	struct vsock_packet *end = say_packet(VSOCK_SHUTDOWN, say_port, ECHO, 0);
	end->flags = VSOCK_SHUTDOWN_SEND | VSOCK_SHUTDOWN_RCV;
	say_put(end, HEADER);
	for (unsigned i = 0; i < 100; i++)
		say_put(say_packet(VSOCK_RW, say_port, ECHO, 100), HEADER + 100);
	say_drain();
}

static void shutdown_of_any_flags(const struct target *target)
{
	(void)target;
	for (uint32_t flags = 0; flags < 32; flags++) {
		say_open();
		struct vsock_packet *end = say_packet(VSOCK_SHUTDOWN, say_port, ECHO, 0);
		end->flags = flags < 8 ? flags : 1u << flags;
		say_put(end, HEADER);
	}
}

static void header_rewritten_behind_the_kick(const struct target *target)
{
	(void)target;
	say_buffers();
	for (unsigned round = 0; round < 20 * effort; round++) {
		struct vsock_packet *new = say_packet(VSOCK_REQUEST, ++say_port, ECHO, 0);
		say_put(new, HEADER + 1000);
		for (unsigned i = 0; i < 200; i++) {
			*(volatile uint32_t *)(void *)&new->data[i * 4] = random32();
			new->length = random32();
			new->op = (uint16_t)(random32() % 9);
			compiler_barrier();
		}
		say_drain();
	}
}

static void buffers_too_short(const struct target *target)
{
	(void)target;
	virtio_offer_one(&vsock.queues[VSOCK_RX], 0, spare, HEADER, DESC_WRITE);
}

static void buffers_of_one_byte_of_data(const struct target *target)
{
	(void)target;
	for (uint16_t i = 0; i < VIRTIO_QUEUE_SIZE; i++)
		virtio_offer_one(&vsock.queues[VSOCK_RX], i, &vsock.rx[i], HEADER + 1, DESC_WRITE);
	virtio_kick(&vsock.device, &vsock.queues[VSOCK_RX]);
	say_op(VSOCK_REQUEST, ++say_port, ECHO);
	if (!say_hear(say_port, VSOCK_RESPONSE))
		fails("the host does not answer");
	say_put(say_packet(VSOCK_RW, say_port, ECHO, 300), HEADER + 300);
	for (unsigned i = 0; i < 300; i++)
		if (!say_hear(say_port, VSOCK_RW)) {
			fails("no echo");
			return;
		}
}

static void buffer_that_is_read(const struct target *target)
{
	(void)target;
	virtio_offer_one(&vsock.queues[VSOCK_RX], 0, spare, 4096, 0);
}

/* The third queue, in which the device never has anything to say. */
static void event_queue_abused(const struct target *target)
{
	struct virtio_queue *queue = &vsock.queues[VSOCK_EVENT];

	for (unsigned i = 0; i < 100; i++) {
		virtio_offer_one(queue, (uint16_t)(i % VIRTIO_QUEUE_SIZE),
				 (void *)(uintptr_t)UINT64_MAX, UINT32_MAX, DESC_NEXT);
		queue->avail.index = (uint16_t)random32();
		virtio_write(target->device, REG_QUEUE_NOTIFY, VSOCK_EVENT);
	}
}

/* cases: vsock */
static const struct hostile_case cases[] = {
	{ "header-too-short", 20, LIVES, 0, header_too_short },
	{ "header-byte-by-byte", 5, LIVES, 0, header_byte_by_byte },
	{ "length-beyond-the-chain", 5, LIVES, 0, length_beyond_the_chain },
	{ "length-of-4g", 8, LIVES, 0, length_of_4g },
	{ "length-wraps", 5, LIVES, 0, length_wraps },
	{ "length-over-the-limit", 8, LIVES, 0, length_over_the_limit },
	{ "data-behind-the-length", 5, LIVES, 0, data_behind_the_length },
	{ "cids-of-others", 1, LIVES, 0, cids_of_others },
	{ "types-unknown", 1, LIVES, 0, types_unknown },
	{ "operations-unknown", 1, LIVES, 0, operations_unknown },
	{ "every-operation-without-a-connection", 17, LIVES, 0,
	  every_operation_without_a_connection },
	{ "response-unasked", 17, LIVES, 0, response_unasked },
	{ "data-before-the-response", 17, LIVES, 0, data_before_the_response },
	{ "data-after-the-end", 17, LIVES, 0, data_after_the_end },
	{ "shutdown-of-any-flags", 17, LIVES, 0, shutdown_of_any_flags },
	{ "header-rewritten-behind-the-kick", 13, LIVES, 0, header_rewritten_behind_the_kick },
	{ "buffers-too-short", 20, BREAKS, 0, buffers_too_short },
	{ "buffers-of-one-byte-of-data", 20, LIVES, 0, buffers_of_one_byte_of_data },
	{ "buffer-that-is-read", 5, BREAKS, 0, buffer_that_is_read },
	{ "event-queue-abused", 5, LIVES, 0, event_queue_abused },
};
HOSTILE_TABLE(vsock_table, cases, "vsock");
