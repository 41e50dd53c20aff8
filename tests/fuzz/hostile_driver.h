/* SPDX-License-Identifier: MIT */
/*
 * A hostile driver of any device, for the fuzzers of net and vsock: it brings the queues
 * up with features and sizes of the input's choice, offers chains good and bad, and writes whatever it
 * likes to registers, descriptors and indexes. The device is that of tests/unit/net_queues.h.
 */
#ifndef TESTS_FUZZ_HOSTILE_DRIVER_H
#define TESTS_FUZZ_HOSTILE_DRIVER_H

#include "tests/fuzz/model/host.h"

#include "tests/fuzz/race.h"

#include "tests/unit/net_queues.h"

#include "tests/fuzz/driver_steps.h"

#define PARTS_MAX 128u

/* The operations of the driver; the fuzzers' own begin behind them. */
enum driver_operation {
	OP_START,
	OP_RESET,
	OP_REGISTER,
	OP_DESCRIPTOR,
	OP_OFFER,
	OP_INDEX_JUMP,
	OP_KICK,
	OP_RUN,
	DRIVER_OPERATIONS,
};

/* The driver's RAM lies between guard pages. */
static inline void hostile_memory(void)
{
	guest_memory_unmap(&rig.memory);
	fuzz_map_memory(&rig.memory, RIG_MEM_BYTES);
	host_own_memory(&rig.memory);
}

/* One bit of the input for each feature that the device offers. */
static inline uint64_t hostile_features(struct fuzz_input *input)
{
	uint64_t offered = rig.transport.device->offered_features |
			   FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | FEATURE(VIRTIO_RING_F_EVENT_IDX);
	uint32_t chosen = fuzz_u16(input);
	uint64_t features = 0;

	for (unsigned bit = 0; bit < 64; bit++) {
		if (!(offered >> bit & 1))
			continue;
		features |= (uint64_t)(chosen & 1) << bit;
		chosen >>= 1;
	}
	return features;
}

static inline void hostile_start(struct fuzz_input *input)
{
	uint64_t features = hostile_features(input);
	uint16_t size = (uint16_t)(1u << (fuzz_byte(input) & 7));

	if (driver_read(&rig.transport, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_DRIVER_OK)
		return;
	driver_negotiate(&rig.transport, features | FEATURE(VIRTIO_F_VERSION_1));
	for (unsigned i = 0; i < rig.transport.device->type->n_queues; i++)
		queues_make(i, size);
	driver_write(&rig.transport, VIRTIO_MMIO_STATUS, STATUS_DRIVER_OK);
	rig.indirect = features >> VIRTIO_RING_F_INDIRECT_DESC & 1;
}

/* Offers `bytes` at `gpa` as one chain: all in one part, or behind `parts` - 1 small ones. */
static inline void hostile_offer(unsigned queue, uint8_t head, uint64_t gpa, uint32_t bytes,
				 unsigned parts, bool writable)
{
	struct rig_part list[PARTS_MAX];
	unsigned size = rig.queues[queue].size, n = 0;

	head = (uint8_t)(head % size);
	if (parts > PARTS_MAX)
		parts = PARTS_MAX;
	if (!rig.indirect && parts > size - head)
		parts = size - head;
	for (uint32_t small; n + 1 < parts; n++, gpa += small, bytes -= small) {
		small = bytes < 1 + n % 5 ? bytes : 1 + n % 5;
		list[n] = (struct rig_part){ gpa, small, writable };
	}
	list[n++] = (struct rig_part){ gpa, bytes, writable };
	queues_offer(queue, head, list, n);
}

static inline void hostile_descriptor(struct fuzz_input *input)
{
	unsigned queue = fuzz_byte(input) % rig.transport.device->type->n_queues;
	uint8_t index = fuzz_byte(input);
	struct vring_desc *desc = &rig.queues[queue].desc[index % rig.queues[queue].size];

	if (index & 0x80)
		desc = (struct vring_desc *)rig_at(RIG_TABLE_GPA + queue * 0x40000u) +
		       (index & 0x7f);
	driver_spoil_desc(desc, input);
}

/* One turn of the event loop, without waiting. False: nothing had completed. */
static inline bool hostile_turn(void)
{
	CHECK(io_uring_submit_and_get_events(&rig_ring.uring) >= 0);
	if (io_uring_cq_ready(&rig_ring.uring) == 0)
		return false;
	CHECK_EQ(ring_wait_for(&rig_ring, 0), 0);
	return true;
}

/* Does the operation, if it is one of the driver's. */
static inline void hostile_operation(uint8_t operation, struct fuzz_input *input)
{
	if (operation == OP_START)
		hostile_start(input);
	else if (operation == OP_RESET)
		queues_reset();
	else if (operation == OP_REGISTER) {
		uint8_t offset = fuzz_byte(input);
		driver_write(&rig.transport, (offset & 63) * 4u, (uint32_t)fuzz_number(input));
	} else if (operation == OP_RUN) {
		for (unsigned turns = fuzz_byte(input) & 31; hostile_turn() && turns > 0; turns--)
			;
	} else if (operation == OP_KICK)
		queues_kick(fuzz_byte(input) % rig.transport.device->type->n_queues);
	else if (rig.queues[0].desc == NULL)
		return;
	else if (operation == OP_DESCRIPTOR)
		hostile_descriptor(input);
	else if (operation == OP_OFFER) {
		uint8_t queue = fuzz_byte(input) % rig.transport.device->type->n_queues;
		uint8_t head = fuzz_byte(input) & 0x7f;
		for (unsigned n = 1 + (fuzz_byte(input) & 0x7f); n > 0; n--)
			driver_offer(&rig.queues[queue], head);
	} else if (operation == OP_INDEX_JUMP) {
		uint8_t queue = fuzz_byte(input) % rig.transport.device->type->n_queues;
		struct vring_avail *avail = rig.queues[queue].avail;
		avail->idx = (uint16_t)(avail->idx + fuzz_byte(input));
	}
}

/* How many chains the device has taken off a queue and not given back. */
static inline uint16_t hostile_chains_held(unsigned queue)
{
	const struct virtqueue *at = &rig.transport.device->queues[queue];

	return (uint16_t)(at->next_avail - at->next_used);
}

/* The driver is gone: what was in flight comes back, and the status becomes 0. */
static inline void hostile_end(void)
{
	queues_reset();
	RIG_RUN_UNTIL(rig.transport.device->in_flight == 0);
	CHECK_EQ(queues_status(), 0);
	host_clear_memory(&rig.memory);
}

/* What the other vCPU of a race does beside writing memory. */
static inline void hostile_other_vcpu(struct fuzz_input *input)
{
	uint8_t what = fuzz_byte(input);

	if (what < 0x80)
		queues_kick(what % rig.transport.device->type->n_queues);
	else
		driver_use_registers(&rig.transport, what, input);
}

/* Both queues' rings and tables, and where the packets begin. */
static inline void hostile_race(uint64_t buffer_gpa, const uint8_t *data, size_t bytes)
{
	static struct race_place places[2 * 5 + 1];
	unsigned n = 0;

	for (unsigned queue = 0; queue < 2; queue++) {
		places[n++] = (struct race_place){ queue_gpa(queue), 256 };
		places[n++] = (struct race_place){ queue_gpa(queue) + 0x4000, 64 };
		places[n++] = (struct race_place){ queue_gpa(queue) + 0x4000, 8 };
		places[n++] = (struct race_place){ queue_gpa(queue) + 0x8000, 64 };
		places[n++] = (struct race_place){ RIG_TABLE_GPA + queue * 0x40000u, 0x1000 };
	}
	places[n++] = (struct race_place){ buffer_gpa, 64 };
	race_begin(&rig.memory, places, n, hostile_other_vcpu, data, bytes);
}

/* A receive buffer in the descriptors or one of the rings of a queue. */
static inline void hostile_rings_offer(unsigned queue, struct fuzz_input *input)
{
	uint8_t head = fuzz_byte(input), where = fuzz_byte(input);
	uint64_t gpa = queue_gpa(where & 1) + (where >> 1 & 3) % 3 * 0x4000u + fuzz_byte(input);

	hostile_offer(queue, head, gpa, 2048, 1 + (where >> 3 & 3), true);
}

#endif
