/* SPDX-License-Identifier: MIT */
/* The driver in an input of the disks' fuzzer: it brings the queue up, and offers requests good and bad. The disk is that of
 * tests/unit/disk_rig.h. */
#ifndef TESTS_FUZZ_BLOCK_DRIVER_H
#define TESTS_FUZZ_BLOCK_DRIVER_H

#include "tests/fuzz/fuzz.h"

#include "tests/fuzz/model/begin.h"
#include "tests/unit/disk_rig.h"

#include "tests/fuzz/driver_steps.h"

#define DATA_GPA (uint64_t)(1u << 20)

static const uint8_t types[16] = { 0, 1, 4, 8, 11, 13, 0, 1, 0, 1, 13, 11, 8, 2, 5, 255 };

/* Features and queue size of the driver's choice; the addresses are those of the rig. */
static inline void start(struct fuzz_input *input)
{
	uint8_t features = fuzz_byte(input);
	uint16_t size = (uint16_t)(1u << (fuzz_byte(input) & 7));

	if (driver_read(&rig.transport, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_DRIVER_OK)
		return;
	driver_queue_map(&rig.queue, &rig.memory, size);
	driver_start(&rig.transport,
		     (features & 1 ? FEATURE(VIRTIO_RING_F_INDIRECT_DESC) : 0) |
			     (features & 2 ? FEATURE(VIRTIO_RING_F_EVENT_IDX) : 0) |
			     (features & 4 ? rig.block.device.offered_features : 0),
		     size);
}

static inline void put_range(struct fuzz_input *input)
{
	struct virtio_blk_discard_write_zeroes range = { .sector = fuzz_number(input) };

	range.num_sectors = fuzz_byte(input);
	range.flags = fuzz_byte(input) & 1;
	CHECK(guest_memory_write(&rig.memory, DATA_GPA, &range, sizeof(range)));
}

/* A request that is well-formed if the numbers are small. */
static inline void request(struct fuzz_input *input, bool indirect)
{
	static const uint32_t sizes[16] = { 0,   512,      1024,    4096,    16, 20,
					    513, 8192,     32768,   65536,   1,  15,
					    17,  2u << 20, 512 * 3, 512 * 65 };
	uint8_t head = fuzz_byte(input) % 120;
	uint32_t type = types[fuzz_byte(input) & 15];
	static const uint32_t own[] = { DRIVER_DESC_GPA,     DRIVER_AVAIL_GPA, DRIVER_USED_GPA,
					DRIVER_INDIRECT_GPA, RIG_HEADER_GPA,   RIG_STATUS_GPA };
	uint64_t sector = fuzz_byte(input), gpa = DATA_GPA;

	sector = sector < 0xf0 ? sector : fuzz_number(input);
	uint8_t place = fuzz_byte(input);
	if (place >= 0xf0)
		gpa = fuzz_number(input);
	else if (place >= 0xe0)
		gpa = own[place % 6];
	if (fuzz_byte(input) & 1)
		gpa += place;
	uint32_t bytes = sizes[fuzz_byte(input) & 15];
	if (type == VIRTIO_BLK_T_DISCARD || type == VIRTIO_BLK_T_WRITE_ZEROES) {
		put_range(input);
		bytes = 16;
	}
	if (head + 3 > rig.queue.size)
		head = 0;
	if (rig.queue.size < 4 && !indirect)
		return;
	rig_offer(head, &(struct rig_request){ type, sector, gpa, bytes }, indirect);
}

/* Many buffers, which lie apart, in an indirect table. */
static inline void request_parts(struct fuzz_input *input)
{
	uint8_t head = fuzz_byte(input) % 120;
	uint32_t type = types[fuzz_byte(input) & 15], unit = 32u << (fuzz_byte(input) % 10);
	unsigned n = 2 + (fuzz_byte(input) & 63);
	uint64_t table_gpa = DRIVER_INDIRECT_GPA + head * 0x1000u, gpa = DATA_GPA;
	struct vring_desc *table = (void *)rig_at(table_gpa);

	if (head >= rig.queue.size || n + 2 > rig.queue.size)
		return;
	rig_frame(head, type, fuzz_byte(input));
	driver_set_desc(&table[0], RIG_HEADER_GPA + head * 16u, 16, VRING_DESC_F_NEXT, 1);
	for (uint16_t i = 1; i <= n; i++, gpa += unit + 64)
		driver_set_desc(&table[i], gpa, unit,
				VRING_DESC_F_NEXT |
					(type == VIRTIO_BLK_T_OUT ? 0 : VRING_DESC_F_WRITE),
				i + 1);
	driver_set_desc(&table[n + 1], RIG_STATUS_GPA + head, 1, VRING_DESC_F_WRITE, 0);
	driver_set_desc(&rig.queue.desc[head], table_gpa, (n + 2) * 16u, VRING_DESC_F_INDIRECT, 0);
	driver_offer(&rig.queue, head);
}

static inline void descriptor(struct fuzz_input *input)
{
	uint8_t index = fuzz_byte(input);
	struct vring_desc *desc = &rig.queue.desc[index % rig.queue.size];

	if (index & 0x80)
		desc = (struct vring_desc *)rig_at(DRIVER_INDIRECT_GPA) + (index & 0x7f);
	driver_spoil_desc(desc, input);
}

#include "tests/fuzz/model/end.h"

#endif
