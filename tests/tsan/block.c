/* SPDX-License-Identifier: MIT */
/* A disk between two vCPUs, a scribbler and the event loop. */
#include "tests/tsan/race_rig.h"

#include "virtio-mmio/block.h"

#define DISK_SECTORS 2048u

static struct block block;
static struct exit_request exit_request;

/* Header, data and status; the chain ends where the scribbler likes. */
static void offer(unsigned queue, uint16_t head, uint64_t *random)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_IN,           VIRTIO_BLK_T_OUT,
					  VIRTIO_BLK_T_FLUSH,        VIRTIO_BLK_T_GET_ID,
					  VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_T_DISCARD };
	uint64_t gpa = race_buffer_gpa(queue, head), number = check_random(random);
	uint32_t type = types[number % 6];
	bool to_guest = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	bool is_range = type == VIRTIO_BLK_T_WRITE_ZEROES || type == VIRTIO_BLK_T_DISCARD;

	race_put32(gpa, type);
	race_put64(gpa + 8, (number >> 8) % DISK_SECTORS);
	race_put64(gpa + 0x1000, (number >> 8) % DISK_SECTORS);
	race_put64(gpa + 0x1008, 1);
	race_put_desc(queue, head, gpa, 16, VRING_DESC_F_NEXT);
	race_put_desc(queue, head + 1u, gpa + 0x1000, is_range ? 16 : 4096,
		      (uint16_t)(VRING_DESC_F_NEXT | (to_guest ? VRING_DESC_F_WRITE : 0)));
	race_put_desc(queue, head + 2u, gpa + 0x3000, 1, VRING_DESC_F_WRITE);
}

int main(void)
{
	struct block_image image = { .fd = check_memory_file(NULL, 0),
				     .path = "(test)",
				     .sectors = DISK_SECTORS,
				     .id = "id-of-20-bytes-long." };

	CHECK(ftruncate(image.fd, (off_t)DISK_SECTORS * SECTOR_BYTES) == 0);
	queues_open();
	exit_request_open(&exit_request, &rig_ring);
	block_init(&block, &image, &rig.memory, &rig_ring, &exit_request);
	queues_attach(&block.device);
	block_start(&block);
	race_run(offer, block.device.offered_features | FEATURE(VIRTIO_RING_F_EVENT_IDX), NULL);
	queues_close();
	return 0;
}
