/* SPDX-License-Identifier: MIT */
/* A disk with an overlay, through the real ring: what the guest reads is what it wrote, or the base's; the base is never
 * written; and which files are refused. */
#include <sys/stat.h>

#include "tests/unit/check.h"
#include "tests/unit/overlay_rig.h"
#include "virtio-mmio/disks.h"

#define MIB        (1u << 20)
#define DATA_GPA   (uint64_t)(1u << 20)
#define SECTORS    2053u /* the last block is a short one */
#define DISK_BYTES (SECTORS * SECTOR_BYTES)

static uint8_t model[DISK_BYTES], buffer[DISK_BYTES];
static struct error_text error;

static void reset_model(void)
{
	for (uint32_t i = 0; i < DISK_BYTES; i++)
		model[i] = rig_base_byte(i);
}

static void check_base(int fd)
{
	CHECK(pread(fd, buffer, DISK_BYTES, 0) == (ssize_t)DISK_BYTES);
	for (uint32_t i = 0; i < DISK_BYTES; i++)
		CHECK_EQ(buffer[i], rig_base_byte(i));
}

static void check_read(uint64_t sector, uint32_t sectors)
{
	uint32_t bytes = sectors * SECTOR_BYTES;

	memset(rig_at(DATA_GPA), 0xaa, bytes);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, sector, DATA_GPA, bytes), VIRTIO_BLK_S_OK);
	CHECK_EQ(rig.used_bytes, bytes + 1);
	CHECK_BYTES(rig_at(DATA_GPA), model + sector * SECTOR_BYTES, bytes);
}

static void write_random(uint64_t sector, uint32_t sectors, uint64_t *state)
{
	uint8_t *data = rig_at(DATA_GPA);

	for (uint32_t i = 0; i < sectors * SECTOR_BYTES; i++)
		data[i] = (uint8_t)check_random(state);
	memcpy(model + sector * SECTOR_BYTES, data, sectors * SECTOR_BYTES);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, sector, DATA_GPA, sectors * SECTOR_BYTES),
		 VIRTIO_BLK_S_OK);
}

static void zero_range(uint64_t sector, uint32_t sectors, uint32_t type)
{
	uint64_t start = sector * SECTOR_BYTES, end = start + sectors * SECTOR_BYTES;

	if (type == VIRTIO_BLK_T_DISCARD) {
		start = (start + OVERLAY_BLOCK_BYTES - 1) / OVERLAY_BLOCK_BYTES *
			OVERLAY_BLOCK_BYTES;
		if (end < DISK_BYTES)
			end -= end % OVERLAY_BLOCK_BYTES;
	}
	if (start < end)
		memset(model + start, 0, end - start);
	CHECK_EQ(rig_do_range(type, sector, sectors, 0), VIRTIO_BLK_S_OK);
}

static void do_something(uint64_t *state)
{
	uint32_t sectors =
		1 + (uint32_t)(check_random(state) % (check_random(state) % 4 ? 20 : 2050));
	uint64_t sector = check_random(state) % (SECTORS - sectors + 1);

	switch (check_random(state) % 8) {
	case 0:
		zero_range(sector, sectors, VIRTIO_BLK_T_DISCARD);
		break;
	case 1:
		zero_range(sector, sectors, VIRTIO_BLK_T_WRITE_ZEROES);
		break;
	case 2:
		CHECK_EQ(rig_do(VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
		break;
	case 3:
	case 4:
		check_read(sector, sectors);
		break;
	default:
		write_random(sector, sectors, state);
		break;
	}
}

static void run_random(int base, int file, enum zero_method method, uint64_t seed)
{
	rig_open_overlay(base, SECTORS, file);
	rig_start_driver(16);
	rig.block.store.zero_method = method;
	for (unsigned i = 0; i < 150; i++)
		do_something(&seed);
	check_read(0, SECTORS);
}

static void test_anonymous(void)
{
	int base = rig_make_base(DISK_BYTES);

	for (enum zero_method method = ZERO_BY_RANGE; method <= ZERO_BY_WRITE; method++) {
		reset_model();
		run_random(base, -1, method, method + 1);
		check_base(base);
		CHECK_EQ(rig_overlay.n_pages, 1);
		block_start_final_flush(&rig.block);
		CHECK(!block_is_busy(&rig.block));
		rig_close_overlay();
	}
	close(base);
}

/* What a flush has made stable is there for the next monitor, at its places. */
static void test_kept(void)
{
	int base = rig_make_base(DISK_BYTES), file = memfd_create("overlay", MFD_CLOEXEC);

	reset_model();
	for (unsigned round = 0; round < 4; round++) {
		run_random(base, file, round % 3, 77 + round);
		write_random(round, 1, &(uint64_t){ round });
		block_start_final_flush(&rig.block);
		CHECK(block_is_busy(&rig.block));
		RIG_RUN_UNTIL(!block_is_busy(&rig.block));
		CHECK(!rig.block.final_flush_failed);
		rig_close_overlay();
	}
	rig_open_overlay(base, SECTORS, file);
	rig_start_driver(16);
	check_read(0, SECTORS);
	rig_close_overlay();
	check_base(base);
	close(base);
	close(file);
}

/* A driver that cannot flush: each write is on stable storage when it is answered. */
static void test_write_through(void)
{
	int base = rig_make_base(DISK_BYTES), file = memfd_create("overlay", MFD_CLOEXEC);
	uint64_t state = 3;

	reset_model();
	rig_open_overlay(base, SECTORS, file);
	rig.block.device.offered_features &= ~FEATURE(VIRTIO_BLK_F_FLUSH);
	rig_start_driver(16);
	CHECK(rig.block.store.write_through);
	write_random(9, 30, &state);
	zero_range(100, 9, VIRTIO_BLK_T_WRITE_ZEROES);
	rig_close_overlay();
	rig_open_overlay(base, SECTORS, file);
	rig_start_driver(16);
	check_read(0, SECTORS);
	rig_close_overlay();
	close(base);
	close(file);
}

/* Buffers of odd lengths, which no block ends with. */
static void test_odd_buffers(void)
{
	int base = rig_make_base(DISK_BYTES);
	uint64_t state = 5;

	reset_model();
	rig_open_overlay(base, SECTORS, -1);
	rig_start_driver(128);
	write_random(33, 7, &state);
	for (int is_write = 1; is_write >= 0; is_write--) {
		uint32_t total = 300 * SECTOR_BYTES, done = 0;
		uint16_t n = 1;
		rig_frame(0, is_write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, 3);
		driver_set_desc(&rig.queue.desc[0], RIG_HEADER_GPA, 16, VRING_DESC_F_NEXT, 1);
		for (uint32_t length; done < total; done += length, n++) {
			length = 1 + (uint32_t)(check_random(&state) % 7000);
			if (length > total - done || n == 120)
				length = total - done;
			driver_set_desc(&rig.queue.desc[n], DATA_GPA + done, length,
					VRING_DESC_F_NEXT | (is_write ? 0 : VRING_DESC_F_WRITE),
					n + 1);
		}
		driver_set_desc(&rig.queue.desc[n], RIG_STATUS_GPA, 1, VRING_DESC_F_WRITE, 0);
		for (uint32_t i = 0; i < total; i++)
			rig_at(DATA_GPA)[i] = is_write ? (uint8_t)check_random(&state) : 0;
		if (is_write)
			memcpy(model + 3 * SECTOR_BYTES, rig_at(DATA_GPA), total);
		driver_offer(&rig.queue, 0);
		CHECK_EQ(rig_finish(0), VIRTIO_BLK_S_OK);
		CHECK_BYTES(rig_at(DATA_GPA), model + 3 * SECTOR_BYTES, total);
	}
	check_read(0, SECTORS);
	rig_close_overlay();
	close(base);
}

/* Many at once, all in the same few blocks: each sector is what its own writer wrote last. */
static void test_at_depth(void)
{
	int base = rig_make_base(DISK_BYTES);
	uint64_t state = 11;

	reset_model();
	rig_open_overlay(base, SECTORS, -1);
	rig_start_driver(128);
	for (unsigned turn = 0; turn < 60; turn++) {
		uint16_t head = 0;
		uint64_t sector = check_random(&state) % 1500, gpa = DATA_GPA;
		for (uint32_t sectors; head < 40 * 3; head += 3) {
			sectors = 1 + (uint32_t)(check_random(&state) % 12);
			for (uint32_t i = 0; i < sectors * SECTOR_BYTES; i++)
				rig_at(gpa)[i] = (uint8_t)check_random(&state);
			memcpy(model + sector * SECTOR_BYTES, rig_at(gpa), sectors * SECTOR_BYTES);
			rig_offer(head,
				  &(struct rig_request){ VIRTIO_BLK_T_OUT, sector, gpa,
							 sectors * SECTOR_BYTES },
				  false);
			sector += sectors;
			gpa += sectors * SECTOR_BYTES;
		}
		rig_kick();
		RIG_RUN_UNTIL(rig_used_count() == 40);
		while (rig_used_count() > 0)
			CHECK_EQ(*rig_status_of((uint16_t)rig_take_used().id), VIRTIO_BLK_S_OK);
	}
	check_read(0, SECTORS);
	check_base(base);
	rig_close_overlay();
	close(base);
}

static uint64_t blocks_of(int fd)
{
	struct stat status;

	CHECK(fstat(fd, &status) == 0);
	return (uint64_t)status.st_blocks;
}

static void test_discard_frees_space(void)
{
	int base = rig_make_base(DISK_BYTES);
	uint64_t state = 2;

	reset_model();
	rig_open_overlay(base, SECTORS, -1);
	rig_start_driver(16);
	check_read(0, SECTORS);
	CHECK_EQ(blocks_of(rig_overlay.file.fd), 0);
	write_random(0, 1024, &state);
	CHECK_EQ(blocks_of(rig_overlay.file.fd), 1024);
	zero_range(8, 1008, VIRTIO_BLK_T_DISCARD);
	CHECK_EQ(blocks_of(rig_overlay.file.fd), 16);
	/* Of the base's, too; and nothing is written for it. */
	zero_range(1024, SECTORS - 1024, VIRTIO_BLK_T_DISCARD);
	CHECK_EQ(blocks_of(rig_overlay.file.fd), 16);
	check_read(0, SECTORS);
	rig_close_overlay();
	close(base);
}

static bool try_open(int base, uint64_t sectors, int file)
{
	struct block_overlay overlay;
	struct block_image image = rig_base_image(base, sectors);
	struct file_name name = { "fd=N", file };
	bool opened = overlay_file_open(&overlay, &image, &name, NULL, &error);

	CHECK_EQ(image.overlay != NULL, opened);
	CHECK_EQ(image.read_only, !opened);
	if (overlay.present != NULL)
		rig_free_map(&overlay);
	return opened;
}

static void set_byte(int fd, off_t offset, uint8_t value)
{
	CHECK(pwrite(fd, &value, 1, offset) == 1);
}

/* Keeps the modification time. */
static void change_base(int fd, off_t offset, uint8_t value)
{
	struct stat status;

	CHECK(fstat(fd, &status) == 0);
	set_byte(fd, offset, value);
	CHECK(futimens(fd, (struct timespec[2]){ status.st_atim, status.st_mtim }) == 0);
}

static void check_refused(int base, uint64_t sectors, int file, const char *why)
{
	CHECK(!try_open(base, sectors, file));
	CHECK_HAS(error.text, why);
	CHECK_EQ(error.code, EXIT_BAD_INPUT);
}

static void test_refusals(void)
{
	uint64_t bytes = 4 * MIB, sectors = bytes / SECTOR_BYTES;
	int base = rig_make_base(bytes), file = memfd_create("overlay", MFD_CLOEXEC);
	struct stat status;
	int pipes[2];

	CHECK(try_open(base, sectors, file)); /* new */
	CHECK(try_open(base, sectors, file)); /* again */
	CHECK(fstat(file, &status) == 0);
	CHECK_EQ(status.st_size, bytes + 2 * 4096);
	check_refused(base, sectors - 1, file, "is of another base: of one with 4194304 bytes");
	static const off_t hashed[] = { 0, 512, MIB - 1, 3 * MIB, 4 * MIB - 1 };
	for (size_t i = 0; i < sizeof(hashed) / sizeof(hashed[0]); i++) {
		change_base(base, hashed[i], 0);
		check_refused(base, sectors, file, "its first or last MiB is not what it was");
		change_base(base, hashed[i], rig_base_byte((uint64_t)hashed[i]));
		CHECK(try_open(base, sectors, file));
	}
	CHECK(fstat(base, &status) == 0);
	status.st_mtim.tv_nsec ^= 1;
	CHECK(futimens(base, (struct timespec[2]){ status.st_atim, status.st_mtim }) == 0);
	check_refused(base, sectors, file, "of one last modified at");
	status.st_mtim.tv_nsec ^= 1;
	CHECK(futimens(base, (struct timespec[2]){ status.st_atim, status.st_mtim }) == 0);
	CHECK(ftruncate(file, (off_t)bytes) == 0);
	check_refused(base, sectors, file, "it was cut short");
	CHECK(ftruncate(file, (off_t)bytes + 2 * 4096) == 0);
	CHECK(try_open(base, sectors, file));
	set_byte(file, 12, '2');
	check_refused(base, sectors, file, "it is no overlay of this version of vmm");
	CHECK(ftruncate(file, 0) == 0 && ftruncate(file, 4 * MIB) == 0);
	check_refused(base, sectors, file, "it is no overlay");
	CHECK(pipe(pipes) == 0);
	check_refused(base, sectors, pipes[0], "expected a regular file");
	close(pipes[0]);
	close(pipes[1]);
	close(file);
	close(base);
}

/* The sum of a base that nothing has touched is not made: here it is a wrong one. It is made once the ctime is another. */
static void test_untouched_base(void)
{
	uint64_t bytes = 4 * MIB, sectors = bytes / SECTOR_BYTES;
	int base = rig_make_base(bytes), file = memfd_create("overlay", MFD_CLOEXEC);

	CHECK(try_open(base, sectors, file));
	set_byte(file, 40, 0xa5);
	check_refused(base, sectors, file, "its first or last MiB"); /* it was too young */
	CHECK(ftruncate(file, 0) == 0);
	sleep(3);
	CHECK(try_open(base, sectors, file));
	set_byte(file, 40, 0xa5);
	CHECK(try_open(base, sectors, file));
	CHECK(fchmod(base, 0400) == 0);
	check_refused(base, sectors, file, "its first or last MiB");
	close(file);
	close(base);
}

/* What a crash before the first flush may leave is new again; so is what there is of it behind the header. */
static void test_unfinished_start(void)
{
	int base = rig_make_base(DISK_BYTES), file = memfd_create("overlay", MFD_CLOEXEC);

	CHECK(ftruncate(file, DISK_BYTES + 2 * 4096) == 0);
	set_byte(file, 2 * 4096 + 5, 0x77); /* a write whose bit is not stored */
	reset_model();
	rig_open_overlay(base, SECTORS, file);
	rig_start_driver(16);
	check_read(0, SECTORS);
	uint64_t state = 1;
	write_random(1, 1, &state);
	check_read(0, SECTORS);
	rig_close_overlay();
	close(base);
	close(file);
}

static int32_t next_result;
static ring_done_fn *real_done;

static void failing_done(struct ring_op *op, int32_t result)
{
	real_done(op, next_result != 0 ? next_result : result);
}

/* The host may have dropped the data that a failed flush was for: no later one says that all is well, and no bit is
 * stored. */
static void test_failed_flush(void)
{
	int base = rig_make_base(DISK_BYTES), file = memfd_create("overlay", MFD_CLOEXEC);
	uint64_t state = 6;
	uint8_t bits[4096];

	reset_model();
	rig_open_overlay(base, SECTORS, file);
	rig_start_driver(16);
	write_random(0, 64, &state);
	struct ring_op *op = &rig.block.requests[0].op;
	real_done = op->done;
	op->done = failing_done;
	next_result = -EIO;
	CHECK_EQ(rig_do(VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_IOERR);
	next_result = 0;
	CHECK_EQ(rig_do(VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_IOERR);
	op->done = real_done;
	block_start_final_flush(&rig.block);
	RIG_RUN_UNTIL(!block_is_busy(&rig.block));
	CHECK(rig.block.final_flush_failed);
	CHECK(pread(file, bits, sizeof(bits), 4096) == sizeof(bits));
	CHECK_FILLED(bits, 0, sizeof(bits));
	check_read(0, SECTORS);
	rig_close_overlay();
	close(base);
	close(file);
}

/* After a signal the host's page cache has what a plain image was written; of a kept overlay it lacks the bits. */
static void test_end_by_signal(void)
{
	static const struct disk_limits limits = { 20000, 20000 };
	static struct disk disk;
	int base = rig_make_base(DISK_BYTES), file = memfd_create("overlay", MFD_CLOEXEC);
	struct file_name name = { "fd=N", file };
	const bool hurry = true;
	uint8_t bits;

	disk.image = rig_base_image(base, SECTORS);
	CHECK(overlay_file_open(&disk.overlay, &disk.image, &name, NULL, &error));
	ring_open(&rig_ring, VIRTQUEUE_MAX_SIZE);
	exit_request_open(&rig_exit, &rig_ring);
	block_init(&disk.block, &disk.image, &rig.memory, &rig_ring, &rig_exit);
	ring_start(&rig_ring);
	CHECK_EQ(block_overlay_add(&disk.overlay, 4096, 8192), 8192);
	disk.block.store.writes = 1;
	CHECK(disks_finish(&disk, 1, &rig_ring, &limits, &hurry));
	CHECK(!block_is_unflushed(&disk.block));
	CHECK(pread(file, &bits, 1, 4096) == 1);
	CHECK_EQ(bits, 6);
	ring_close(&rig_ring);
	rig_free_map(&disk.overlay);
	disk_close(&disk);
}

int main(void)
{
	RUN(test_anonymous);
	RUN(test_kept);
	RUN(test_write_through);
	RUN(test_odd_buffers);
	RUN(test_at_depth);
	RUN(test_discard_frees_space);
	RUN(test_refusals);
	RUN(test_untouched_base);
	RUN(test_unfinished_start);
	RUN(test_failed_flush);
	RUN(test_end_by_signal);
	return 0;
}
