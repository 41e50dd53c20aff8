/* SPDX-License-Identifier: MIT */
/* Credit that lies, storms of ports and of resets. */
#include "hostile/vsock_say.h"

#define STORM (400u * effort)
#define POOL  2048u /* connections that the device has */

/* Credit that is given and taken away while data is on its way (bug class 21). */
static void credit(const uint32_t allocs[], const uint32_t counts[], unsigned n)
{
	say_open();
	for (unsigned i = 0; i < 20 * effort; i++) {
		say_put(say_packet(VSOCK_RW, say_port, ECHO, 1000), HEADER + 1000);
		struct vsock_packet *new = say_packet(VSOCK_CREDIT_UPDATE, say_port, ECHO, 0);
		new->buf_alloc = allocs[i % n];
		new->fwd_cnt = counts[i % n];
		say_put(new, HEADER);
		say_drain();
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
	say_buffers();
	say_op(VSOCK_REQUEST, ++say_port, ECHO);
	for (unsigned i = 0; i < 120; i++)
		say_put(say_packet(VSOCK_RW, say_port, ECHO, VSOCK_DATA_MAX),
			HEADER + VSOCK_DATA_MAX);
	say_drain();
}

static void credit_request_storm(const struct target *target)
{
	(void)target;
	say_open();
	for (unsigned i = 0; i < STORM; i++) {
		say_op(VSOCK_CREDIT_REQUEST, say_port, ECHO);
		say_drain();
	}
}

/* Whoever sends what needs answers, and takes none. */
static void storm_of_a_starved_guest(const struct target *target)
{
	struct virtio_queue *queue = &vsock.queues[VSOCK_TX];
	struct vsock_packet *new = say_packet(VSOCK_RW, ++say_port, NOBODY, 0);

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
	say_buffers();
	for (unsigned i = 0; i < count; i++) {
		say_port += step;
		say_op(VSOCK_REQUEST, say_port, to);
		say_drain();
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
	say_buffers();
	for (uint32_t to = 0; to < STORM; to++) {
		say_op(VSOCK_REQUEST, ++say_port, to * 0x1010101u);
		say_drain();
	}
}

static void rst_storm(const struct target *target)
{
	(void)target;
	say_open();
	for (unsigned i = 0; i < STORM; i++) {
		say_op(VSOCK_RST, say_port, ECHO);
		say_op(VSOCK_RST, i, ECHO);
	}
}

/* Opened and reset at once, again and again. */
static void request_and_reset(const struct target *target)
{
	(void)target;
	say_buffers();
	for (unsigned i = 0; i < STORM; i++) {
		say_op(VSOCK_REQUEST, ++say_port, ECHO);
		say_op(VSOCK_RST, say_port, ECHO);
		say_drain();
	}
}

static void device_reset_with_connections(const struct target *target)
{
	for (unsigned depth = 1; depth <= 256; depth *= 4) {
		say_buffers();
		for (unsigned i = 0; i < depth; i++) {
			say_op(VSOCK_REQUEST, ++say_port, ECHO);
			say_put(say_packet(VSOCK_RW, say_port, ECHO, 500), HEADER + 500);
			say_drain();
		}
		if (!target->start(0))
			fails("it does not start");
	}
}

/* cases: vsock */
static const struct hostile_case cases[] = {
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
};
HOSTILE_TABLE(vsock_storm_table, cases, "vsock");
