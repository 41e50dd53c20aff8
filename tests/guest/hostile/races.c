/* SPDX-License-Identifier: MIT */
/* What the device reads changes meanwhile, by the hand of the other processors; where there is one only, in between. */
#include "hostile/hostile.h"

#define SIZE   VIRTIO_QUEUE_SIZE
#define ROUNDS (effort > 0 ? 40u * effort : 8)
#define STEPS  50u /* of the others, before they look for an end */

static const struct target *raced;
static struct virtio_desc table[SIZE] __attribute__((aligned(16)));

static void nobody_writes(unsigned cpu)
{
	(void)cpu;
	cpu_pause();
}

/* The device is kicked again and again while the others do `work`. */
static void race(const struct target *target, void (*work)(unsigned))
{
	raced = target;
	smp_run(work);
	for (unsigned i = 0; i < ROUNDS; i++) {
		good_chain(target);
		kick(target);
		smp_step();
		/* A broken device looks at nothing. */
		if (virtio_read(target->device, REG_STATUS) & STATUS_NEEDS_RESET)
			(void)target->start(target->device->features & ~FEATURE_VERSION_1);
		if (i % 16 == 0 && target->nudge != NULL)
			(void)host_does(target->nudge);
	}
	smp_rest();
}

/* Inside `spare`, or nowhere: what the device may write must not be anybody's. */
static uint64_t some_gpa(void)
{
	uint32_t random = random32();

	return random & 1 ? (uintptr_t)spare + random % (sizeof(spare) - 4096) : random | RAM_BYTES;
}

static uint32_t some_length(void)
{
	uint32_t random = random32();

	return random & 1 ? random % 4096 : random | RAM_BYTES;
}

static void write_index(unsigned cpu)
{
	(void)cpu;
	for (unsigned i = 0; i < STEPS; i++)
		raced->queue->avail.index =
			(uint16_t)(raced->queue->used.index + random32() % (SIZE + 4));
}

static void write_descriptors(unsigned cpu)
{
	for (unsigned i = 0; i < STEPS; i++) {
		volatile struct virtio_desc *desc = &raced->queue->desc[(i + cpu) % 3];
		desc->gpa = some_gpa();
		desc->length = some_length();
	}
}

static void write_links(unsigned cpu)
{
	for (unsigned i = 0; i < STEPS; i++) {
		volatile struct virtio_desc *desc = &raced->queue->desc[(i + cpu) % 3];
		desc->flags = (uint16_t)(random32() % 4);
		desc->next = (uint16_t)(random32() % (SIZE + 1));
	}
}

static void write_heads(unsigned cpu)
{
	(void)cpu;
	for (unsigned i = 0; i < STEPS; i++)
		raced->queue->avail.ring[random32() % SIZE] =
			(uint16_t)(random32() % 8 == 0 ? random32() : 0);
}

static void write_used_ring(unsigned cpu)
{
	(void)cpu;
	for (unsigned i = 0; i < STEPS; i++) {
		raced->queue->used.index = (uint16_t)random32();
		raced->queue->used.ring[random32() % SIZE].id = random32();
		raced->queue->used.flags = (uint16_t)random32();
	}
}

static void write_events(unsigned cpu)
{
	(void)cpu;
	for (unsigned i = 0; i < STEPS; i++) {
		raced->queue->avail.used_event = (uint16_t)random32();
		raced->queue->used.avail_event = (uint16_t)random32();
		raced->queue->avail.flags = (uint16_t)random32();
	}
}

/* The queue's one chain is the table. */
static void write_table(unsigned cpu)
{
	raced->queue->desc[0].gpa = (uintptr_t)table;
	raced->queue->desc[0].length = sizeof(table);
	raced->queue->desc[0].flags = DESC_INDIRECT;
	for (unsigned i = 0; i < STEPS; i++) {
		volatile struct virtio_desc *desc = &table[(i + cpu) % 8];
		desc->gpa = some_gpa();
		desc->length = some_length();
		desc->flags = (uint16_t)(random32() % 8);
		desc->next = (uint16_t)(random32() % 9);
	}
}

/* Headers, which are the data's first bytes: no type of request that writes to the disk. */
static void write_buffers(unsigned cpu)
{
	for (unsigned i = 0; i < STEPS; i++) {
		((volatile uint8_t *)spare)[(i + cpu) % 64] = (uint8_t)random32();
		disk.headers[0].type = random32() & 2 ? BLK_IN : random32() | 0x100;
		disk.headers[0].sector = random32() & 3 ? 0 : UINT64_MAX - random32();
	}
}

static void index_raced(const struct target *target)
{
	race(target, write_index);
}

static void descriptors_raced(const struct target *target)
{
	race(target, write_descriptors);
}

static void links_raced(const struct target *target)
{
	race(target, write_links);
}

static void heads_raced(const struct target *target)
{
	race(target, write_heads);
}

static void used_ring_raced(const struct target *target)
{
	race(target, write_used_ring);
}

static void events_raced(const struct target *target)
{
	race(target, write_events);
}

static void indirect_table_raced(const struct target *target)
{
	race(target, write_table);
}

static void buffers_raced(const struct target *target)
{
	race(target, write_buffers);
}

/* cases: block net-rx net-tx stream-rx stream-tx vsock-rx vsock-tx */
static const struct hostile_case ring_cases[] = {
	{ "index-raced", 11, ANY, 0, index_raced },
	{ "descriptors-raced", 13, ANY, 0, descriptors_raced },
	{ "links-raced", 13, ANY, 0, links_raced },
	{ "heads-raced", 13, ANY, 0, heads_raced },
	{ "used-ring-raced", 13, ANY, 0, used_ring_raced },
	{ "events-raced", 12, ANY, FEATURE_EVENT_IDX, events_raced },
	{ "indirect-table-raced", 13, ANY, FEATURE_INDIRECT, indirect_table_raced },
	{ "buffers-raced", 13, ANY, 0, buffers_raced },
};
HOSTILE_TABLE(race_ring_table, ring_cases,
	      "block net-rx net-tx stream-rx stream-tx vsock-rx vsock-tx");

/* But the status, and no place that the device could write to. */
static void write_registers(unsigned cpu)
{
	for (uint32_t reg = 0; reg < REG_CONFIG; reg += 4) {
		bool is_address = reg >= REG_QUEUE_DESC && reg < REG_QUEUE_USED + 8;
		if (reg != REG_STATUS)
			virtio_write(raced->device, reg, is_address ? random32() | 1 : cpu + reg);
	}
}

static void write_resets(unsigned cpu)
{
	(void)cpu;
	virtio_write(raced->device, REG_STATUS, 0);
	for (unsigned i = 0; i < random32() % 5000; i++)
		cpu_pause();
}

/* Their own way up the ladder, with the same rings. */
static void write_starts(unsigned cpu)
{
	struct virtio device = *raced->device;

	(void)virtio_negotiate(&device, 0);
	for (uint32_t queue = 0; queue < raced->queues; queue++) {
		virtio_write(&device, REG_QUEUE_SEL, queue);
		virtio_write(&device, REG_QUEUE_NUM, cpu & 1 ? SIZE : SIZE / 2);
		virtio_write(&device, REG_QUEUE_READY, 1);
	}
	virtio_driver_ok(&device);
	virtio_write(&device, REG_STATUS, 0);
}

static void write_kicks(unsigned cpu)
{
	for (uint32_t i = 0; i < STEPS; i++)
		virtio_write(raced->device, REG_QUEUE_NOTIFY, (i + cpu) % 4);
}

static void read_registers(unsigned cpu)
{
	for (uint32_t reg = 0; reg < REG_CONFIG + 0x40; reg += 4)
		(void)mmio_read32(raced->device->base + reg + (cpu & 1));
}

/* The driver starts and works, whatever the others do: it may fail, and the monitor not. */
static void race_registers(const struct target *target, void (*work)(unsigned))
{
	raced = target;
	smp_run(work);
	for (unsigned i = 0; i < ROUNDS / 4; i++) {
		virtio_write(target->device, REG_STATUS, 0);
		(void)virtio_negotiate(target->device, 0);
		for (uint32_t queue = 0; queue < target->queues; queue++)
			virtio_make_queue(target->device, target->queue, queue);
		target->queue->number = 0;
		virtio_driver_ok(target->device);
		good_chain(target);
		kick(target);
		smp_step();
	}
	smp_rest();
}

static void registers_raced(const struct target *target)
{
	race_registers(target, write_registers);
}

static void resets_raced(const struct target *target)
{
	race_registers(target, write_resets);
}

static void starts_raced(const struct target *target)
{
	race_registers(target, write_starts);
}

static void kicks_raced(const struct target *target)
{
	race_registers(target, write_kicks);
}

static void reads_raced(const struct target *target)
{
	race_registers(target, read_registers);
}

static void restarts_alone(const struct target *target)
{
	race_registers(target, nobody_writes);
}

/* cases: block net stream vsock */
static const struct hostile_case register_cases[] = {
	{ "registers-raced", 4, ANY, 0, registers_raced },
	{ "resets-raced", 17, ANY, 0, resets_raced },
	{ "starts-raced", 4, ANY, 0, starts_raced },
	{ "kicks-raced", 9, ANY, 0, kicks_raced },
	{ "reads-raced", 1, ANY, 0, reads_raced },
	{ "restarts-alone", 17, ANY, 0, restarts_alone },
};
HOSTILE_TABLE(race_register_table, register_cases, "block net stream vsock");
