/* SPDX-License-Identifier: MIT */
/* Queues that cannot be, or are not, of every device. */
#include "hostile/hostile.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint32_t read(const struct target *target, uint32_t reg)
{
	return virtio_read(target->device, reg);
}

static void write(const struct target *target, uint32_t reg, uint32_t value)
{
	virtio_write(target->device, reg, value);
}

static bool bad_queue(const struct target *target, uint32_t reg, uint64_t gpa, uint32_t size)
{
	static struct virtio_queue rings;

	if (!virtio_reset(target->device) || !virtio_negotiate(target->device, 0))
		return false;
	write(target, REG_QUEUE_SEL, target->queues - 1);
	write(target, REG_QUEUE_NUM, size);
	write(target, REG_QUEUE_DESC, (uint32_t)(uintptr_t)rings.desc);
	write(target, REG_QUEUE_AVAIL, (uint32_t)(uintptr_t)&rings.avail);
	write(target, REG_QUEUE_USED, (uint32_t)(uintptr_t)&rings.used);
	write(target, reg, (uint32_t)gpa);
	write(target, reg + 4, (uint32_t)(gpa >> 32));
	write(target, REG_QUEUE_NUM, size);
	write(target, REG_QUEUE_READY, 1);
	virtio_driver_ok(target->device);
	write(target, REG_QUEUE_NOTIFY, target->queues - 1);
	return read(target, REG_QUEUE_READY) == 0 &&
	       (read(target, REG_STATUS) & STATUS_NEEDS_RESET);
}

static void bad_places(const struct target *target, uint32_t reg)
{
	static const uint64_t places[] = {
		0xc0001000,         /* device memory */
		0xfee00000,         /* the local APIC */
		RAM_BYTES - 16,     /* across the end of the RAM */
		RAM_BYTES,          /* behind it */
		0xffffffffffffffe0, /* wraps */
		0x100200000,        /* above 4 GiB */
		0x8000000000200000, /* a sign */
		0x200001,           /* not aligned */
	};

	for (size_t i = 0; i < COUNT(places); i++)
		if (!bad_queue(target, reg, places[i], VIRTIO_QUEUE_SIZE))
			fails("a queue that cannot be is ready");
}

static void descriptors_in_bad_places(const struct target *target)
{
	bad_places(target, REG_QUEUE_DESC);
}

static void available_ring_in_bad_places(const struct target *target)
{
	bad_places(target, REG_QUEUE_AVAIL);
}

static void used_ring_in_bad_places(const struct target *target)
{
	bad_places(target, REG_QUEUE_USED);
}

static void queue_sizes(const struct target *target)
{
	static const uint32_t sizes[] = { 0,      3,      127,     129,     256,       0x8000,
					  0x8001, 0xffff, 0x10000, 0x10080, UINT32_MAX };

	for (size_t i = 0; i < COUNT(sizes); i++)
		if (!bad_queue(target, REG_QUEUE_SEL, 0, sizes[i]))
			fails("a queue of a bad size is ready");
}

/* All three parts at one place: they overlap, and the device writes over its own orders. */
static void rings_over_each_other(const struct target *target)
{
	uint32_t gpa = (uint32_t)(uintptr_t)spare;

	memset(spare, 0, 8192);
	if (!virtio_reset(target->device) || !virtio_negotiate(target->device, 0))
		fails("no start");
	for (uint32_t queue = 0; queue < target->queues; queue++) {
		write(target, REG_QUEUE_SEL, queue);
		write(target, REG_QUEUE_NUM, VIRTIO_QUEUE_SIZE);
		write(target, REG_QUEUE_DESC, gpa);
		write(target, REG_QUEUE_AVAIL, gpa);
		write(target, REG_QUEUE_USED, gpa);
		write(target, REG_QUEUE_READY, 1);
	}
	virtio_driver_ok(target->device);
	for (unsigned i = 0; i < 200; i++) {
		*(volatile uint16_t *)(void *)(spare + 2) = (uint16_t)i;
		write(target, REG_QUEUE_NOTIFY, i % target->queues);
	}
}

static void queue_of_one_entry(const struct target *target)
{
	if (!virtio_reset(target->device) || !virtio_negotiate(target->device, 0))
		fails("no start");
	for (uint32_t queue = 0; queue < target->queues; queue++) {
		virtio_make_queue(target->device, target->queue, queue);
		write(target, REG_QUEUE_READY, 0);
		write(target, REG_QUEUE_NUM, 1);
		write(target, REG_QUEUE_READY, 1);
	}
	virtio_driver_ok(target->device);
	target->queue->number = 0;
	for (unsigned i = 0; i < 4; i++) {
		good_chain(target);
		kick(target);
	}
}

/* DRIVER_OK with no queue at all. */
static void no_queues(const struct target *target)
{
	if (!virtio_reset(target->device) || !virtio_negotiate(target->device, 0))
		fails("no start");
	virtio_driver_ok(target->device);
	for (unsigned i = 0; i < 100 * effort; i++)
		write(target, REG_QUEUE_NOTIFY, i % 4);
}

/* cases: block net stream vsock */
static const struct hostile_case cases[] = {
	{ "descriptors-in-bad-places", 3, ANY, 0, descriptors_in_bad_places },
	{ "available-ring-in-bad-places", 3, ANY, 0, available_ring_in_bad_places },
	{ "used-ring-in-bad-places", 3, ANY, 0, used_ring_in_bad_places },
	{ "queue-sizes", 4, ANY, 0, queue_sizes },
	{ "rings-over-each-other", 25, ANY, 0, rings_over_each_other },
	{ "queue-of-one-entry", 4, ANY, 0, queue_of_one_entry },
	{ "no-queues", 4, LIVES, 0, no_queues },
};
HOSTILE_TABLE(transport_queue_table, cases, "block net stream vsock");
