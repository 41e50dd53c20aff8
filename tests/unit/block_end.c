/* The end of a run: what the guest may do to its disks then, and what a disk may do to the others. */
#include "tests/unit/check.h"
#include "tests/unit/disk_rig.h"

/* A read that writes the ring's next index, and the next read's header, over the ring and the header that it came
 * from: safety class 25. Sector n of the image is what the guest would have written for read n + 1. */
#define SELF_ENTRIES 32u   /* the queue's size: each turn takes them all */
#define SELF_SECTORS 2048u /* times 32 entries, the index is where it was */
#define SELF_GPA     (uint64_t) DRIVER_AVAIL_GPA
#define SELF_HEADER  272u /* behind the available ring, in the same sector */

static void put_self_sector(uint8_t *sector, unsigned n)
{
	struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_IN, .sector = n % SELF_SECTORS };
	struct vring_avail avail = { .idx = (uint16_t)((n + 1) * SELF_ENTRIES) };

	memset(sector, 0, SECTOR_BYTES);
	memcpy(sector, &avail, sizeof(avail));
	memcpy(sector + SELF_HEADER, &header, sizeof(header));
}

static void start_self_reading(void)
{
	static uint8_t image[SELF_SECTORS][SECTOR_BYTES];
	char path[] =
		"/var/tmp/vmm-test-XXXXXX"; /* no tmpfs: its reads are not done in their order */
	int fd = mkostemp(path, O_CLOEXEC);

	for (unsigned n = 0; n < SELF_SECTORS; n++)
		put_self_sector(image[n], n + 1);
	CHECK(fd >= 0 && unlink(path) == 0);
	CHECK(write(fd, image, sizeof(image)) == sizeof(image));
	rig_open_fd(fd, SELF_SECTORS, false);
	driver_write(&rig.transport, VIRTIO_MMIO_STATUS, 0);
	rig_start_driver(SELF_ENTRIES);
	put_self_sector(rig_at(SELF_GPA), 0);
	driver_set_desc(&rig.queue.desc[0], SELF_GPA + SELF_HEADER, 16, VRING_DESC_F_NEXT, 1);
	driver_set_desc(&rig.queue.desc[1], SELF_GPA, SECTOR_BYTES,
			VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2);
	driver_set_desc(&rig.queue.desc[2], RIG_STATUS_GPA, 1, VRING_DESC_F_WRITE, 0);
	rig_kick();
	RIG_RUN_UNTIL(rig.block.device.queues[0].next_used >= 3000 || rig_needs_reset());
	CHECK(!rig_needs_reset());
}

static void test_class_25_ring_that_refills_itself(void)
{
	start_self_reading();
	virtio_device_close_queues(&rig.block.device);
	RIG_RUN_UNTIL(!block_is_busy(&rig.block));
	uint16_t used = rig.queue.used->idx;
	rig_kick();
	rig_idle();
	CHECK_EQ(rig.queue.used->idx, used);
	CHECK_EQ(used % SELF_ENTRIES, 0);
	CHECK(!rig_needs_reset());
	rig_close();
}

/* What has been taken is finished, in as many steps as it needs; what waits in the ring is not taken. */
static void test_taken_requests_are_finished(void)
{
	uint32_t bytes = 3u << 20;
	int fd = rig_open_memory(4u << 20, false);

	memset(rig_at(1u << 20), 0x77, bytes);
	rig_offer(0, &(struct rig_request){ VIRTIO_BLK_T_OUT, 1, 1u << 20, bytes }, false);
	rig_kick();
	RIG_RUN_UNTIL(rig.block.device.in_flight > 0);
	virtio_device_close_queues(&rig.block.device);
	rig_offer(3, &(struct rig_request){ VIRTIO_BLK_T_OUT, 0, 1u << 20, 512 }, false);
	rig_kick();
	RIG_RUN_UNTIL(rig_used_count() == 1);
	rig_idle();
	CHECK_EQ(rig_used_count(), 1);
	CHECK_EQ(*rig_status_of(0), VIRTIO_BLK_S_OK);
	CHECK_EQ(*rig_status_of(3), RIG_NO_STATUS);
	CHECK(pread(fd, rig_at(1u << 20), 1, 512 + bytes - 1) == 1);
	CHECK_EQ(*rig_at(1u << 20), 0x77);
	rig_close();
}

int main(void)
{
	RUN(test_class_25_ring_that_refills_itself);
	RUN(test_taken_requests_are_finished);
	return 0;
}
