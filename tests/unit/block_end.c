/* SPDX-License-Identifier: MIT */
/* The end of a run: what the guest may do to its disks then, and what a disk may do to the others. */
#include "tests/unit/check.h"
#include "tests/unit/disk_rig.h"
#include "tests/unit/fuse_disk.h"
#include "virtio-mmio/disks.h"

/* A read that writes the ring's next index, and the next read's header, over the ring and the header that it came
 * from: bug class 25. Sector n of the image is what the guest would have written for read n + 1. */
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

static void test_class_25_endless_dma_ring_refills_itself(void)
{
	start_self_reading();
	virtio_device_stop_queues(&rig.block.device);
	RIG_RUN_UNTIL(!block_is_busy(&rig.block));
	uint16_t used = rig.queue.used->idx;
	rig_kick();
	rig_idle();
	CHECK_EQ(rig.queue.used->idx, used);
	CHECK_EQ(used % SELF_ENTRIES, 0);
	CHECK(!rig_needs_reset());
	rig_close();
}

/* The device finishes what it has taken, in as many steps as it needs; it takes nothing that waits in the queue. */
static void test_taken_requests_are_finished(void)
{
	uint32_t bytes = 3u << 20;
	int fd = rig_open_memory(4u << 20, false);

	memset(rig_at(1u << 20), 0x77, bytes);
	rig_offer(0, &(struct rig_request){ VIRTIO_BLK_T_OUT, 1, 1u << 20, bytes }, false);
	rig_kick();
	RIG_RUN_UNTIL(rig.block.device.in_flight > 0);
	virtio_device_stop_queues(&rig.block.device);
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

static void open_dirty_disk(struct disk *disk, const char *path)
{
	struct error_text error;

	CHECK(block_image_open(&disk->image, path, false, &error));
	block_look_at(&disk->image);
	block_init(&disk->block, &disk->image, &rig.memory, &rig_ring, &rig_exit);
	disk->block.store.writes = 1;
}

static bool is_unlocked(const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(path, O_RDWR | O_CLOEXEC);
	bool locked = fcntl(fd, F_OFD_SETLK, &lock) == 0;

	close(fd);
	return locked;
}

/* Each disk goes its way to the end alone: one whose flush hangs keeps neither flush nor lock of another. */
static void test_class_24_slow_file_ends(void)
{
	static struct disk disks[2];
	static const struct disk_limits limits = { 1500, 1500 };
	char directory[] = "/tmp/vmm-test-XXXXXX", hung[64], healthy[] = "/tmp/vmm-test-XXXXXX";
	const bool hurry = false;
	int fd = mkostemp(healthy, O_CLOEXEC);

	CHECK(fd >= 0 && ftruncate(fd, 1 << 20) == 0 && mkdtemp(directory) != NULL);
	struct fuse_disk *fuse = fuse_disk_mount(directory, 1 << 20);
	if (fuse == NULL) {
		puts("no FUSE can be had here: not tried");
	} else {
		snprintf(hung, sizeof(hung), "%s/disk", directory);
		ring_open(&rig_ring, VIRTQUEUE_MAX_SIZE);
		exit_request_open(&rig_exit, &rig_ring);
		open_dirty_disk(&disks[0], hung);
		open_dirty_disk(&disks[1], healthy);
		CHECK(disks[0].image.reads_need_worker);
		fuse->hang = FUSE_DISK_FSYNC;
		ring_start(&rig_ring);
		CHECK(!disks_finish(disks, 2, &rig_ring, &limits, &hurry));
		CHECK_EQ(disks[0].end, DISK_FLUSHES);
		CHECK_EQ(disks[1].end, DISK_ENDED);
		CHECK(!is_unlocked(hung));
		CHECK(is_unlocked(healthy));
		fuse->hang = 0;
		CHECK(disks_finish(disks, 2, &rig_ring, &limits, &hurry));
		CHECK_EQ(fuse->fsyncs, 1);
		CHECK(is_unlocked(hung));
		ring_close(&rig_ring);
		block_image_close(&disks[0].image);
		block_image_close(&disks[1].image);
		CHECK(umount2(directory, MNT_DETACH) == 0); /* the ring lets go of it later */
		munmap(fuse, sizeof(*fuse));
	}
	CHECK(rmdir(directory) == 0 && unlink(healthy) == 0);
	close(fd);
}

int main(void)
{
	RUN(test_class_24_slow_file_ends); /* first: the server is a child without this program's files */
	RUN(test_class_25_endless_dma_ring_refills_itself);
	RUN(test_taken_requests_are_finished);
	return 0;
}
