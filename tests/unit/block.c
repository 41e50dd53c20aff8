/* SPDX-License-Identifier: MIT */
/* Requests of every kind, answered rightly, through the real ring. */
#include "tests/unit/check.h"
#include "tests/unit/disk_rig.h"

#define MIB       (1u << 20)
#define DATA_GPA  (uint64_t)(1u << 20)
#define PIECE_GPA (uint64_t)(12u << 20)

static uint8_t buffer[4 * MIB];

static void read_file(int fd, uint64_t offset, size_t bytes)
{
	CHECK(pread(fd, buffer, bytes, (off_t)offset) == (ssize_t)bytes);
}

static void test_what_is_announced(void)
{
	struct virtio_blk_config config;

	for (int read_only = 0; read_only < 2; read_only++) {
		rig_open_memory(8 * SECTOR_BYTES + 100, read_only);
		for (unsigned i = 0; i < sizeof(config); i++)
			((uint8_t *)&config)[i] = (uint8_t)driver_access(
				&rig.transport, VIRTIO_MMIO_CONFIG + i, 1, false, 0);
		CHECK_EQ(config.capacity, 8);
		CHECK_EQ(config.seg_max, 126);
		CHECK_EQ(config.blk_size, 512);
		CHECK_EQ(config.max_discard_seg, 1);
		CHECK_EQ(config.max_write_zeroes_seg, 1);
		CHECK_EQ(config.max_discard_sectors, 1u << 21);
		CHECK_EQ(!!(rig.block.device.offered_features & FEATURE(VIRTIO_BLK_F_RO)),
			 read_only);
		CHECK_EQ(!!(rig.block.device.offered_features & FEATURE(VIRTIO_BLK_F_DISCARD)),
			 !read_only);
		CHECK(rig.block.device.offered_features & FEATURE(VIRTIO_BLK_F_FLUSH));
		rig_close();
	}
}

/* Sizes around a page, and around the step of 1 MiB. */
static void test_read_and_write(void)
{
	static const uint32_t sizes[] = { 512, 1024,      4096,    4608,          MIB - 512,
					  MIB, MIB + 512, 2 * MIB, 3 * MIB + 1536 };
	int fd = rig_open_memory(4 * MIB, false);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		memset(rig_at(DATA_GPA), 0, 4 * MIB);
		CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, 7, DATA_GPA, sizes[i]), VIRTIO_BLK_S_OK);
		CHECK_EQ(rig.used_bytes, sizes[i] + 1);
		read_file(fd, 7 * 512, sizes[i]);
		CHECK_BYTES(rig_at(DATA_GPA), buffer, sizes[i]);
		CHECK_EQ(*rig_at(DATA_GPA + sizes[i]), 0);
		for (uint32_t k = 0; k < sizes[i]; k++)
			rig_at(DATA_GPA)[k] = (uint8_t)(k * 11 + i);
		CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 5, DATA_GPA, sizes[i]), VIRTIO_BLK_S_OK);
		CHECK_EQ(rig.used_bytes, 1);
		read_file(fd, 5 * 512, sizes[i]);
		CHECK_BYTES(buffer, rig_at(DATA_GPA), sizes[i]);
	}
	CHECK(lseek(fd, 0, SEEK_END) == 4 * MIB);
	rig_close();
}

/* 126 buffers of odd lengths, with gaps between them, and larger than one step together. */
static void test_many_buffers(void)
{
	int fd = rig_open_memory(4 * MIB, false);
	uint64_t state = 9;

	for (int is_write = 0; is_write < 2; is_write++)
		for (uint32_t scale = 3; scale < 40000; scale *= 23) {
			uint32_t lengths[126], total = 0;
			for (unsigned i = 0; i < 126; i++) {
				lengths[i] = 1 + (uint32_t)(check_random(&state) % scale);
				total += lengths[i];
			}
			lengths[125] += 512 - total % 512;
			total += 512 - total % 512;
			rig_frame(0, is_write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, 3);
			driver_set_desc(&rig.queue.desc[0], RIG_HEADER_GPA, 16, VRING_DESC_F_NEXT,
					1);
			uint64_t gpa = DATA_GPA;
			for (uint16_t i = 0; i < 126; gpa += lengths[i++] + 5)
				driver_set_desc(&rig.queue.desc[i + 1], gpa, lengths[i],
						is_write ? VRING_DESC_F_NEXT
							 : VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
						i + 2);
			driver_set_desc(&rig.queue.desc[127], RIG_STATUS_GPA, 1, VRING_DESC_F_WRITE,
					0);
			for (uint32_t i = 0; i < 4 * MIB; i++)
				rig_at(DATA_GPA)[i] = (uint8_t)(i * 13 + scale);
			driver_offer(&rig.queue, 0);
			CHECK_EQ(rig_finish(0), VIRTIO_BLK_S_OK);
			CHECK_EQ(rig.used_bytes, is_write ? 1 : total + 1);
			read_file(fd, 3 * 512, total);
			gpa = DATA_GPA;
			const uint8_t *at = buffer;
			for (unsigned i = 0; i < 126; at += lengths[i], gpa += lengths[i++] + 5)
				CHECK_BYTES(rig_at(gpa), at, lengths[i]);
		}
	rig_close();
}

/* Copies the header to PIECE_GPA in a chain of descriptors as long as `cuts` says (bit i: an end
 * after byte i); returns the next free descriptor. */
static uint16_t put_split_header(uint32_t type, uint32_t cuts)
{
	struct virtio_blk_outhdr header = { .type = type, .sector = 2 };
	uint16_t n = 0;

	memcpy(rig_at(PIECE_GPA), &header, 16);
	for (uint32_t start = 0, i = 0; i < 16; i++) {
		if (i != 15 && !(cuts & 1u << i))
			continue;
		driver_set_desc(&rig.queue.desc[n], PIECE_GPA + start, i + 1 - start,
				VRING_DESC_F_NEXT, n + 1);
		n++;
		start = i + 1;
	}
	return n;
}

/* virtio 1.2, 2.7.4: how a request is cut into descriptors is the driver's affair. */
static void test_odd_framing(void)
{
	static const uint32_t cuts[] = { 0, 1, 0x80, 0x4000, 0x7fff, 0x5555, 0x0808 };
	int fd = rig_open_memory(64 * 1024, false);

	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		/* A read: the status is the last byte of the only writable buffer. */
		uint16_t n = put_split_header(VIRTIO_BLK_T_IN, cuts[i]);
		memset(rig_at(DATA_GPA), RIG_NO_STATUS, 2000);
		driver_set_desc(&rig.queue.desc[n], DATA_GPA, 1025, VRING_DESC_F_WRITE, 0);
		driver_offer(&rig.queue, 0);
		rig_finish(0);
		CHECK_EQ(*rig_at(DATA_GPA + 1024), VIRTIO_BLK_S_OK);
		CHECK_EQ(*rig_at(DATA_GPA + 1025), RIG_NO_STATUS);
		CHECK_EQ(rig.used_bytes, 1025);
		read_file(fd, 1024, 1024);
		CHECK_BYTES(rig_at(DATA_GPA), buffer, 1024);
		/* A write: data right behind the header in one buffer. */
		n = put_split_header(VIRTIO_BLK_T_OUT, cuts[i]);
		memset(rig_at(PIECE_GPA + 16), (int)(0x30 + i), 1024);
		rig.queue.desc[n - 1].len += 1024;
		*rig_status_of(0) = RIG_NO_STATUS;
		driver_set_desc(&rig.queue.desc[n], RIG_STATUS_GPA, 1, VRING_DESC_F_WRITE, 0);
		driver_offer(&rig.queue, 0);
		CHECK_EQ(rig_finish(0), VIRTIO_BLK_S_OK);
		read_file(fd, 1024, 1024);
		CHECK_FILLED(buffer, (uint8_t)(0x30 + i), 1024);
	}
	rig_close();
}

/* A chain without room for header or status is the driver's fault, not a request. */
static void test_no_frame_breaks_the_device(void)
{
	static const struct {
		uint32_t readable, writable;
	} bad[] = { { 15, 1 }, { 1, 1 }, { 16, 0 }, { 0, 1 }, { 0, 512 }, { 600, 0 } };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint16_t n = 0;
		rig_open_memory(64 * 1024, false);
		if (bad[i].readable) {
			driver_set_desc(&rig.queue.desc[n], RIG_HEADER_GPA, bad[i].readable,
					bad[i].writable ? VRING_DESC_F_NEXT : 0, 1);
			n++;
		}
		if (bad[i].writable)
			driver_set_desc(&rig.queue.desc[n], DATA_GPA, bad[i].writable,
					VRING_DESC_F_WRITE, 0);
		driver_offer(&rig.queue, 0);
		rig_kick();
		RIG_RUN_UNTIL(rig_needs_reset());
		CHECK_EQ(rig_used_count(), 0);
		driver_write(&rig.transport, VIRTIO_MMIO_STATUS, 0);
		rig_start_driver(128);
		CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, 0, DATA_GPA, 512), VIRTIO_BLK_S_OK);
		rig_close();
	}
}

static void test_get_id(void)
{
	static const uint32_t lengths[] = { 1, 10, 19, 20, 21, 512 };

	rig_open_memory(64 * 1024, false);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint32_t n = lengths[i] < 20 ? lengths[i] : 20;
		memset(rig_at(DATA_GPA), 0xcc, 600);
		CHECK_EQ(rig_do(VIRTIO_BLK_T_GET_ID, 0, DATA_GPA, lengths[i]), VIRTIO_BLK_S_OK);
		CHECK_EQ(rig.used_bytes, n + 1);
		CHECK_BYTES(rig_at(DATA_GPA), "id-of-20-bytes-long.", n);
		CHECK_FILLED(rig_at(DATA_GPA + n), 0xcc, 500);
	}
	rig_close();
}

static void test_flush_and_unknown_types(void)
{
	rig_open_memory(64 * 1024, false);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
	CHECK_EQ(rig.used_bytes, 1);
	static const uint32_t unknown[] = { 2,  3,  5,  7,  9,          10,
					    12, 14, 15, 16, 0x80000000, UINT32_MAX };
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		CHECK_EQ(rig_do(unknown[i], 0, DATA_GPA, 512), VIRTIO_BLK_S_UNSUPP);
		CHECK_EQ(rig.used_bytes, 1);
	}
	rig_close();
}

static void test_read_only(void)
{
	int fd = rig_open_memory(64 * 1024, true);

	memset(rig_at(DATA_GPA), 0xaa, 512);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_OUT, 0, DATA_GPA, 512), VIRTIO_BLK_S_IOERR);
	CHECK_EQ(rig_do_range(VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(rig_do_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0), VIRTIO_BLK_S_UNSUPP);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
	read_file(fd, 0, 512);
	CHECK_EQ(buffer[0], 1);
	CHECK_EQ(rig_do(VIRTIO_BLK_T_IN, 0, DATA_GPA, 512), VIRTIO_BLK_S_OK);
	CHECK_BYTES(rig_at(DATA_GPA), buffer, 512);
	rig_close();
}

static void check_count(uint64_t requests, uint64_t in_bytes, uint64_t out_bytes, uint64_t errors)
{
	CHECK_EQ(rig.block.device.count.requests, requests);
	CHECK_EQ(rig.block.device.count.in_bytes, in_bytes);
	CHECK_EQ(rig.block.device.count.out_bytes, out_bytes);
	CHECK_EQ(rig.block.device.count.errors, errors);
}

/* Data alone counts, in as many steps as it takes; and it is told whether a flush is due. */
static void test_counters(void)
{
	rig_open_memory(4 * MIB, false);
	CHECK(!block_is_unflushed(&rig.block));
	rig_do(VIRTIO_BLK_T_IN, 0, DATA_GPA, 3 * MIB);
	check_count(1, 3 * MIB, 0, 0);
	CHECK(!block_is_unflushed(&rig.block));
	rig_do(VIRTIO_BLK_T_OUT, 0, DATA_GPA, 2 * MIB + 512);
	check_count(2, 3 * MIB, 2 * MIB + 512, 0);
	CHECK(block_is_unflushed(&rig.block));
	rig_do(VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	CHECK(!block_is_unflushed(&rig.block));
	rig_do_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0);
	check_count(4, 3 * MIB, 2 * MIB + 512, 0);
	CHECK(block_is_unflushed(&rig.block));
	rig_do(VIRTIO_BLK_T_IN, 4 * MIB / 512, DATA_GPA, 512); /* behind the end */
	rig_do(99, 0, DATA_GPA, 512);
	check_count(6, 3 * MIB, 2 * MIB + 512, 2);
	rig_close();
}

int main(void)
{
	RUN(test_what_is_announced);
	RUN(test_read_and_write);
	RUN(test_many_buffers);
	RUN(test_odd_framing);
	RUN(test_no_frame_breaks_the_device);
	RUN(test_get_id);
	RUN(test_flush_and_unknown_types);
	RUN(test_read_only);
	RUN(test_counters);
	return 0;
}
