/* SPDX-License-Identifier: MIT */
/* Packets that lie: lengths, addresses, credit, states; storms of ports and of resets. */
#include "hostile/hostile.h"

#define HEADER     VSOCK_HEADER_BYTES
#define ECHO       6000u
#define NOBODY     7777u
#define FIRST_PORT 100000u
#define STORM      (400u * effort)
#define POOL       2048u /* connections that the device has */
#define BUFFER     (256u << 10)

static uint32_t port = FIRST_PORT;

static struct vsock_packet *packet(uint16_t op, uint32_t from, uint32_t to, uint32_t length)
{
	struct vsock_packet *new = vsock_prepare(&vsock);

	if (new == NULL) {
		fails("packets do not come back");
		return &vsock.tx[0];
	}
	memset(new, 0, HEADER);
	new->src_cid = vsock.cid;
	new->dst_cid = VSOCK_HOST_CID;
	new->type = VSOCK_STREAM;
	new->op = op;
	new->src_port = from;
	new->dst_port = to;
	new->length = length;
	new->buf_alloc = BUFFER;
	return new;
}

static void put(struct vsock_packet *new, uint32_t bytes)
{
	virtio_offer_one(&vsock.queues[VSOCK_TX], (uint16_t)(new - vsock.tx), new, bytes, 0);
	virtio_kick(&vsock.device, &vsock.queues[VSOCK_TX]);
}

static void say(uint16_t op, uint32_t from, uint32_t to)
{
	put(packet(op, from, to, 0), HEADER);
}

/* Once: those that are done go back. */
static void offer_buffers(void)
{
	if (vsock.queues[VSOCK_RX].avail.index != 0)
		return;
	for (uint16_t i = 0; i < VIRTIO_QUEUE_SIZE; i++)
		virtio_offer_one(&vsock.queues[VSOCK_RX], i, &vsock.rx[i], sizeof(vsock.rx[i]),
				 DESC_WRITE);
	virtio_kick(&vsock.device, &vsock.queues[VSOCK_RX]);
}

/* Takes what comes, until `op` for `guest_port` does. */
static bool hear(uint32_t guest_port, uint16_t op)
{
	uint64_t begin = read_tsc();

	while (read_tsc() - begin < VIRTIO_WAIT_TSC) {
		struct vsock_packet *came = vsock_receive(&vsock);
		if (came == NULL)
			continue;
		bool wanted = came->dst_port == guest_port && came->op == op;
		vsock_done(&vsock, came);
		if (wanted)
			return true;
	}
	return false;
}

/* What has come in the meantime is read, and forgotten. */
static void drain(void)
{
	struct vsock_packet *came;

	for (unsigned i = 0; i < 4 * VIRTIO_QUEUE_SIZE && (came = vsock_receive(&vsock)) != NULL;
	     i++)
		vsock_done(&vsock, came);
}

static void open_one(void)
{
	offer_buffers();
	say(VSOCK_REQUEST, ++port, ECHO);
	if (!hear(port, VSOCK_RESPONSE))
		fails("the host does not answer");
}

static void expect_reset(void)
{
	if (!hear(port, VSOCK_RST))
		fails("the connection is not reset");
}

static void header_too_short(const struct target *target)
{
	(void)target;
	for (uint32_t bytes = 1; bytes < HEADER; bytes++)
		put(packet(VSOCK_REQUEST, ++port, ECHO, 0), bytes);
}

static void header_byte_by_byte(const struct target *target)
{
	struct virtio_queue *queue = &vsock.queues[VSOCK_TX];
	struct vsock_packet *new = packet(VSOCK_REQUEST, ++port, NOBODY, 0);

	(void)target;
	offer_buffers();
	for (uint16_t i = 0; i < HEADER; i++) {
		queue->desc[i].gpa = (uintptr_t) new + i;
		queue->desc[i].length = 1;
		queue->desc[i].flags = i < HEADER - 1 ? DESC_NEXT : 0;
		queue->desc[i].next = (uint16_t)(i + 1);
	}
	virtio_offer(queue, 0);
	virtio_kick(&vsock.device, queue);
	expect_reset();
}

static void length_beyond_the_chain(const struct target *target)
{
	(void)target;
	open_one();
	put(packet(VSOCK_RW, port, ECHO, 2000), HEADER + 1000);
	expect_reset();
}

static void length_of_4g(const struct target *target)
{
	(void)target;
	open_one();
	put(packet(VSOCK_RW, port, ECHO, UINT32_MAX), HEADER + 1000);
	expect_reset();
}

static void length_wraps(const struct target *target)
{
	(void)target;
	open_one();
	put(packet(VSOCK_RW, port, ECHO, UINT32_MAX - HEADER + 1), HEADER + 1000);
	expect_reset();
}

/* More than any packet may have, in a chain that has it. */
static void length_over_the_limit(const struct target *target)
{
	struct virtio_queue *queue = &vsock.queues[VSOCK_TX];

	(void)target;
	open_one();
	struct vsock_packet *new = packet(VSOCK_RW, port, ECHO, sizeof(spare));
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
	expect_reset();
}

static void data_behind_the_length(const struct target *target)
{
	(void)target;
	open_one();
	put(packet(VSOCK_RW, port, ECHO, 1), HEADER + VSOCK_DATA_MAX);
	if (!hear(port, VSOCK_RW))
		fails("no echo");
}

static void cids_of_others(const struct target *target)
{
	static const uint64_t cids[] = { 0, 1, 3, 4, UINT32_MAX, 1ull << 32 | 2, UINT64_MAX };

	(void)target;
	offer_buffers();
	for (unsigned i = 0; i < sizeof(cids) / sizeof(cids[0]); i++) {
		struct vsock_packet *new = packet(VSOCK_REQUEST, ++port, ECHO, 0);
		new->dst_cid = cids[i];
		put(new, HEADER);
		new = packet(VSOCK_REQUEST, ++port, ECHO, 0);
		new->src_cid = cids[i] == 3 ? 5 : cids[i];
		put(new, HEADER);
	}
	if (vsock.queues[VSOCK_RX].used.index != 0)
		fails("an answer to another address");
}

static void types_unknown(const struct target *target)
{
	static const uint16_t types[] = { 0, 2, 3, 0x8000, 0xffff };

	(void)target;
	offer_buffers();
	for (unsigned i = 0; i < 5; i++) {
		struct vsock_packet *new = packet(VSOCK_REQUEST, ++port, ECHO, 0);
		new->type = types[i];
		put(new, HEADER);
		expect_reset();
	}
}

static void operations_unknown(const struct target *target)
{
	static const uint16_t ops[] = { 0, 8, 9, 0x100, 0x8001, 0xffff };

	(void)target;
	for (unsigned i = 0; i < 6; i++) {
		open_one();
		say(ops[i], port, ECHO);
	}
}

static void every_operation_without_a_connection(const struct target *target)
{
	(void)target;
	offer_buffers();
	for (uint16_t op = 0; op < 10; op++)
		if (op != VSOCK_REQUEST && op != VSOCK_RST) {
			say(op, ++port, ECHO);
			expect_reset();
		}
}

/* A guest's answer to a question that nobody asked, and its question twice. */
static void response_unasked(const struct target *target)
{
	(void)target;
	open_one();
	say(VSOCK_RESPONSE, port, ECHO);
	open_one();
	say(VSOCK_REQUEST, port, ECHO);
}

static void data_before_the_response(const struct target *target)
{
	(void)target;
	offer_buffers();
	for (unsigned i = 0; i < 20; i++) {
		say(VSOCK_REQUEST, ++port, ECHO);
		put(packet(VSOCK_RW, port, ECHO, 1000), HEADER + 1000);
		say(VSOCK_SHUTDOWN, port, ECHO);
	}
}

static void data_after_the_end(const struct target *target)
{
	(void)target;
	open_one();
	struct vsock_packet *end = packet(VSOCK_SHUTDOWN, port, ECHO, 0);
	end->flags = VSOCK_SHUTDOWN_SEND | VSOCK_SHUTDOWN_RCV;
	put(end, HEADER);
	for (unsigned i = 0; i < 100; i++)
		put(packet(VSOCK_RW, port, ECHO, 100), HEADER + 100);
	drain();
}

static void shutdown_of_any_flags(const struct target *target)
{
	(void)target;
	for (uint32_t flags = 0; flags < 32; flags++) {
		open_one();
		struct vsock_packet *end = packet(VSOCK_SHUTDOWN, port, ECHO, 0);
		end->flags = flags < 8 ? flags : 1u << flags;
		put(end, HEADER);
	}
}

/* Credit that is given and taken away while data is on its way (bug class 21). */
static void credit(const uint32_t allocs[], const uint32_t counts[], unsigned n)
{
	open_one();
	for (unsigned i = 0; i < 20 * effort; i++) {
		put(packet(VSOCK_RW, port, ECHO, 1000), HEADER + 1000);
		struct vsock_packet *new = packet(VSOCK_CREDIT_UPDATE, port, ECHO, 0);
		new->buf_alloc = allocs[i % n];
		new->fwd_cnt = counts[i % n];
		put(new, HEADER);
		drain();
	}
}

static void credit_shrinks_in_flight(const struct target *target)
{
	static const uint32_t allocs[] = { 65536, 1, 4096, 0 }, counts[] = { 0, 0, 0, 0 };

	(void)target;
	credit(allocs, counts, 4);
}

static void credit_of_4g(const struct target *target)
{
	static const uint32_t allocs[] = { UINT32_MAX, UINT32_MAX }, counts[] = { 0, UINT32_MAX };

	(void)target;
	credit(allocs, counts, 2);
}

static void forward_count_ahead(const struct target *target)
{
	static const uint32_t allocs[] = { 65536, 65536 }, counts[] = { 0x7fffffff, 0x80000000 };

	(void)target;
	credit(allocs, counts, 2);
}

static void forward_count_goes_back(const struct target *target)
{
	static const uint32_t allocs[] = { 65536, 65536, 65536 },
			      counts[] = { 1000, 999, UINT32_MAX };

	(void)target;
	credit(allocs, counts, 3);
}

/* More than the device has given: 128 KiB that nobody reads, and then some. */
static void more_than_the_credit(const struct target *target)
{
	(void)target;
	offer_buffers();
	say(VSOCK_REQUEST, ++port, ECHO);
	for (unsigned i = 0; i < 120; i++)
		put(packet(VSOCK_RW, port, ECHO, VSOCK_DATA_MAX), HEADER + VSOCK_DATA_MAX);
	drain();
}

static void credit_request_storm(const struct target *target)
{
	(void)target;
	open_one();
	for (unsigned i = 0; i < STORM; i++) {
		say(VSOCK_CREDIT_REQUEST, port, ECHO);
		drain();
	}
}

/* Whoever sends what needs answers, and takes none. */
static void storm_of_a_starved_guest(const struct target *target)
{
	struct virtio_queue *queue = &vsock.queues[VSOCK_TX];
	struct vsock_packet *new = packet(VSOCK_RW, ++port, NOBODY, 0);

	(void)target;
	queue->desc[0].gpa = (uintptr_t) new;
	queue->desc[0].length = HEADER;
	queue->desc[0].flags = 0;
	for (unsigned round = 0; round < 20 * effort; round++) {
		for (unsigned i = 0;
		     i < VIRTIO_QUEUE_SIZE &&
		     (uint16_t)(queue->avail.index - queue->used.index) < VIRTIO_QUEUE_SIZE;
		     i++)
			virtio_offer(queue, 0);
		virtio_write(&vsock.device, REG_QUEUE_NOTIFY, VSOCK_TX);
	}
	queue->seen_used = queue->used.index;
}

static void requests(unsigned count, uint32_t step, uint32_t to)
{
	offer_buffers();
	for (unsigned i = 0; i < count; i++) {
		port += step;
		say(VSOCK_REQUEST, port, to);
		drain();
	}
}

static void port_storm_to_nobody(const struct target *target)
{
	(void)target;
	requests(STORM, 1, NOBODY);
}

/* More than there are places. */
static void port_storm_to_a_listener(const struct target *target)
{
	(void)target;
	requests(POOL + 100, 1, ECHO);
}

/* Ports that differ in what a simple hash drops (bug class 30). */
static void ports_that_collide(const struct target *target)
{
	(void)target;
	requests(STORM, 2048, ECHO);
	requests(STORM, 1u << 20, ECHO);
}

static void every_port_of_the_host(const struct target *target)
{
	(void)target;
	offer_buffers();
	for (uint32_t to = 0; to < STORM; to++) {
		say(VSOCK_REQUEST, ++port, to * 0x1010101u);
		drain();
	}
}

static void rst_storm(const struct target *target)
{
	(void)target;
	open_one();
	for (unsigned i = 0; i < STORM; i++) {
		say(VSOCK_RST, port, ECHO);
		say(VSOCK_RST, i, ECHO);
	}
}

/* Opened and reset at once, again and again. */
static void request_and_reset(const struct target *target)
{
	(void)target;
	offer_buffers();
	for (unsigned i = 0; i < STORM; i++) {
		say(VSOCK_REQUEST, ++port, ECHO);
		say(VSOCK_RST, port, ECHO);
		drain();
	}
}

static void device_reset_with_connections(const struct target *target)
{
	for (unsigned depth = 1; depth <= 256; depth *= 4) {
		offer_buffers();
		for (unsigned i = 0; i < depth; i++) {
			say(VSOCK_REQUEST, ++port, ECHO);
			put(packet(VSOCK_RW, port, ECHO, 500), HEADER + 500);
			drain();
		}
		if (!target->start(0))
			fails("it does not start");
	}
}

static void header_rewritten_behind_the_kick(const struct target *target)
{
	(void)target;
	offer_buffers();
	for (unsigned round = 0; round < 20 * effort; round++) {
		struct vsock_packet *new = packet(VSOCK_REQUEST, ++port, ECHO, 0);
		put(new, HEADER + 1000);
		for (unsigned i = 0; i < 200; i++) {
			*(volatile uint32_t *)(void *)&new->data[i * 4] = random32();
			new->length = random32();
			new->op = (uint16_t)(random32() % 9);
			compiler_barrier();
		}
		drain();
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
	say(VSOCK_REQUEST, ++port, ECHO);
	if (!hear(port, VSOCK_RESPONSE))
		fails("the host does not answer");
	put(packet(VSOCK_RW, port, ECHO, 300), HEADER + 300);
	for (unsigned i = 0; i < 300; i++)
		if (!hear(port, VSOCK_RW)) {
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
	{ "credit-shrinks-in-flight", 21, LIVES, 0, credit_shrinks_in_flight },
	{ "credit-of-4g", 21, LIVES, 0, credit_of_4g },
	{ "forward-count-ahead", 21, LIVES, 0, forward_count_ahead },
	{ "forward-count-goes-back", 21, LIVES, 0, forward_count_goes_back },
	{ "more-than-the-credit", 21, LIVES, 0, more_than_the_credit },
	{ "credit-request-storm", 15, LIVES, 0, credit_request_storm },
	{ "storm-of-a-starved-guest", 28, LIVES, 0, storm_of_a_starved_guest },
	{ "port-storm-to-nobody", 15, LIVES, 0, port_storm_to_nobody },
	{ "port-storm-to-a-listener", 28, LIVES, 0, port_storm_to_a_listener },
	{ "ports-that-collide", 30, LIVES, 0, ports_that_collide },
	{ "every-port-of-the-host", 15, LIVES, 0, every_port_of_the_host },
	{ "rst-storm", 17, LIVES, 0, rst_storm },
	{ "request-and-reset", 17, LIVES, 0, request_and_reset },
	{ "device-reset-with-connections", 17, LIVES, 0, device_reset_with_connections },
	{ "header-rewritten-behind-the-kick", 13, LIVES, 0, header_rewritten_behind_the_kick },
	{ "buffers-too-short", 20, BREAKS, 0, buffers_too_short },
	{ "buffers-of-one-byte-of-data", 20, LIVES, 0, buffers_of_one_byte_of_data },
	{ "buffer-that-is-read", 5, BREAKS, 0, buffer_that_is_read },
	{ "event-queue-abused", 5, LIVES, 0, event_queue_abused },
};
HOSTILE_TABLE(vsock_table, cases, "vsock");
