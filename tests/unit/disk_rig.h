/* SPDX-License-Identifier: MIT */
/*
 * A whole disk without KVM: block device, transport, doorbell and ring as they are, a driver of the
 * tests' own in front.
 */
#ifndef TESTS_UNIT_DISK_RIG_H
#define TESTS_UNIT_DISK_RIG_H

#include <fcntl.h>

#include "tests/unit/check.h"
#include "tests/unit/ring_rig.h"
#include "tests/unit/virtio_driver.h"
#include "virtio-mmio/block.h"
#include "virtio-mmio/block_image.h"

#define RIG_WINDOW_GPA 0xc0001000u
#define RIG_MEM_BYTES  ((uint64_t)16 << 20)
#define RIG_HEADER_GPA 0xc0000u /* 16 bytes for each head; indirect tables end here */
#define RIG_STATUS_GPA 0xd0000u /* a byte for each head */
#define RIG_RANGE_GPA  0xd1000u /* a discard's or write-zeroes' segment */
#define RIG_NO_STATUS  0xee

struct disk_rig {
	struct guest_memory memory;
	struct bus mmio;
	struct block_image image;
	struct block block;
	struct virtio_transport transport;
	struct driver_queue queue;
	uint32_t used_bytes; /* of the last request that rig_do() did */
};

/* A request. The data is one buffer. */
struct rig_request {
	uint32_t type;
	uint64_t sector, data_gpa;
	uint32_t bytes;
};

static struct disk_rig rig;
static struct exit_request rig_exit;

/* Takes over image->fd. The driver has not started yet. */
static inline void rig_open(const struct block_image *image)
{
	memset(&rig, 0, sizeof(rig));
	CHECK(guest_memory_map(&rig.memory, RIG_MEM_BYTES));
	ring_open(&rig_ring, VIRTQUEUE_MAX_SIZE);
	exit_request_open(&rig_exit, &rig_ring);
	rig.image = *image;
	block_init(&rig.block, &rig.image, &rig.memory, &rig_ring, &rig_exit);
	virtio_transport_init(&rig.transport, &rig.block.device);
	virtio_transport_attach(&rig.transport, &rig_vm_fd, &rig.mmio, &rig_ring, RIG_WINDOW_GPA,
				5);
	rig.block.device.reset_wait_ms = 0; /* this thread is the event loop, too */
	ring_start(&rig_ring);
	virtio_transport_start(&rig.transport);
}

static inline void rig_close(void)
{
	virtio_transport_detach(&rig.transport);
	block_image_close(&rig.image);
	CHECK_EQ(rig_ring.with_workers, rig.block.device.in_flight);
	ring_close(&rig_ring);
	guest_memory_unmap(&rig.memory);
}

/* The driver comes up with an empty queue of `size` and all that a block driver asks for. */
static inline void rig_start_driver(uint16_t size)
{
	driver_queue_map(&rig.queue, &rig.memory, size);
	driver_start(&rig.transport,
		     rig.block.device.offered_features | FEATURE(VIRTIO_RING_F_INDIRECT_DESC),
		     size);
	CHECK_EQ(driver_read(&rig.transport, VIRTIO_MMIO_STATUS) & STATUS_DRIVER_OK,
		 STATUS_DRIVER_OK);
}

/* A disk on `fd`, whatever that is, with this many sectors. */
static inline void rig_open_fd(int fd, uint64_t sectors, bool read_only)
{
	struct block_image image = { .fd = fd,
				     .path = "(test)",
				     .sectors = sectors,
				     .read_only = read_only,
				     .id = "id-of-20-bytes-long." };

	CHECK(fd >= 0);
	rig_open(&image);
	rig_start_driver(128);
}

/* A disk on a file in memory with `bytes` of pattern. */
static inline int rig_open_memory(size_t bytes, bool read_only)
{
	uint8_t *data = malloc(bytes);

	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(1 + (i + i / 512 * 3) % 255);
	int fd = check_memory_file(data, bytes);
	free(data);
	rig_open_fd(fd, bytes / SECTOR_BYTES, read_only);
	return fd;
}

static inline uint8_t *rig_at(uint64_t gpa)
{
	uint8_t *host = guest_memory_at(&rig.memory, gpa, 1);

	CHECK(host != NULL);
	return host;
}

static inline uint8_t *rig_status_of(uint16_t head)
{
	return rig_at(RIG_STATUS_GPA + head);
}

/* Writes the request's header and clears its status. */
static inline void rig_frame(uint16_t head, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr header = { .type = type, .sector = sector };

	CHECK(guest_memory_write(&rig.memory, RIG_HEADER_GPA + head * 16u, &header, 16));
	*rig_status_of(head) = RIG_NO_STATUS;
}

/* Offers one request: an indirect table behind descriptor `head`, or the descriptors from `head` on
 * (then heads must be 3 apart). */
static inline void rig_offer(uint16_t head, const struct rig_request *request, bool indirect)
{
	bool to_guest = request->type == VIRTIO_BLK_T_IN || request->type == VIRTIO_BLK_T_GET_ID;
	uint64_t table_gpa = DRIVER_INDIRECT_GPA + head * 0x1000u;
	struct vring_desc *table = indirect ? (void *)rig_at(table_gpa) : rig.queue.desc;
	uint16_t base = indirect ? 0 : head, n = request->bytes ? 3 : 2;

	rig_frame(head, request->type, request->sector);
	driver_set_desc(&table[base], RIG_HEADER_GPA + head * 16u, 16, VRING_DESC_F_NEXT, base + 1);
	if (n == 3)
		driver_set_desc(&table[base + 1], request->data_gpa, request->bytes,
				VRING_DESC_F_NEXT | (to_guest ? VRING_DESC_F_WRITE : 0), base + 2);
	driver_set_desc(&table[base + n - 1], RIG_STATUS_GPA + head, 1, VRING_DESC_F_WRITE, 0);
	if (indirect)
		driver_set_desc(&rig.queue.desc[head], table_gpa, n * 16u, VRING_DESC_F_INDIRECT,
				0);
	driver_offer(&rig.queue, head);
}

static inline void rig_kick(void)
{
	uint64_t one = 1;

	CHECK(write(rig.transport.doorbells[0].event.fd, &one, sizeof(one)) == sizeof(one));
}

static inline uint16_t rig_used_count(void)
{
	return (uint16_t)(__atomic_load_n(&rig.queue.used->idx, __ATOMIC_ACQUIRE) -
			  rig.queue.next_used);
}

/* Takes the next used entry. */
static inline struct vring_used_elem rig_take_used(void)
{
	CHECK(rig_used_count() > 0);
	return rig.queue.used->ring[rig.queue.next_used++ % rig.queue.size];
}

/* Kicks and waits for the one request that begins at `head`; returns its status. */
static inline uint8_t rig_finish(uint16_t head)
{
	rig_kick();
	RIG_RUN_UNTIL(rig_used_count() == 1);
	struct vring_used_elem used = rig_take_used();
	CHECK_EQ(used.id, head);
	rig.used_bytes = used.len;
	return *rig_status_of(head);
}

static inline uint8_t rig_do(uint32_t type, uint64_t sector, uint64_t data_gpa, uint32_t bytes)
{
	rig_offer(0, &(struct rig_request){ type, sector, data_gpa, bytes }, false);
	return rig_finish(0);
}

/* One discard or write-zeroes segment. */
static inline uint8_t rig_do_range(uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes range = { sector, sectors, flags };

	CHECK(guest_memory_write(&rig.memory, RIG_RANGE_GPA, &range, sizeof(range)));
	return rig_do(type, 0, RIG_RANGE_GPA, sizeof(range));
}

static inline bool rig_needs_reset(void)
{
	return driver_read(&rig.transport, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

#endif
