/* SPDX-License-Identifier: MIT */
/* A hostile driver at the registers: nothing it does there may disturb the monitor, or a queue that is
 * in use. After each abuse the disk must still work. */
#include "rt/blk.h"
#include "rt/rt.h"

#define WINDOW_BYTES    0x1000u
#define REGISTERS_END   0x140u
#define MARK            0x1badb002u
#define NOTIFY_DENSE    300u
#define NOTIFY_STRIDE   331u
#define FEATURE_SUBSETS 16u

static struct blk disk, spare;
static uint8_t data[BLK_SECTOR_BYTES];

static bool still_works(void)
{
	*(uint32_t *)(void *)data = 0;
	return blk_io(&disk, BLK_IN, 0, data, sizeof(data)) == BLK_OK &&
	       *(uint32_t *)(void *)data == MARK;
}

static void read_at(uint32_t offset)
{
	(void)mmio_read8(disk.device.base + offset);
	(void)mmio_read16(disk.device.base + offset);
	(void)mmio_read32(disk.device.base + offset);
	(void)mmio_read64(disk.device.base + offset);
}

/* Every width at every offset of the registers, and at some beyond. */
static bool reads_everywhere(void)
{
	for (uint32_t offset = 0; offset < REGISTERS_END; offset++)
		read_at(offset);
	for (uint32_t offset = REGISTERS_END; offset < WINDOW_BYTES; offset += 509)
		read_at(offset);
	return still_works();
}

/* Widths and alignments that no register has: they must all be ignored, the status (0) among them. */
static bool odd_writes(void)
{
	for (uint32_t offset = 0; offset < REGISTERS_END; offset++) {
		mmio_write8(disk.device.base + offset, 0);
		mmio_write16(disk.device.base + offset, 0xffff);
		mmio_write64(disk.device.base + offset, 0);
		if (offset % 4 != 0)
			mmio_write32(disk.device.base + offset, UINT32_MAX);
	}
	return still_works();
}

/* Queue registers are frozen once the driver is ready: resized, moved and unready while in use. */
static bool live_rewrite(void)
{
	static const uint32_t values[] = { 0, 1, 3, 0x80000000, UINT32_MAX };

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		for (uint32_t reg = 0; reg < REG_CONFIG; reg += 4)
			if (reg != REG_STATUS && reg != REG_QUEUE_NOTIFY && reg != REG_QUEUE_SEL)
				virtio_write(&disk.device, reg, values[i]);
		virtio_write(&disk.device, REG_QUEUE_SEL, values[i]);
		(void)virtio_read(&disk.device, REG_QUEUE_NUM_MAX);
		(void)virtio_read(&disk.device, REG_QUEUE_READY);
		virtio_write(&disk.device, REG_QUEUE_NUM, 7);
		virtio_write(&disk.device, REG_QUEUE_SEL, 0);
		if (!still_works())
			return false;
	}
	return virtio_read(&disk.device, REG_QUEUE_READY) == 1;
}

static bool notify_anything(void)
{
	for (uint32_t value = 0; value <= 0xffff; value += value < NOTIFY_DENSE ? 1 : NOTIFY_STRIDE)
		virtio_write(&disk.device, REG_QUEUE_NOTIFY, value);
	virtio_write(&disk.device, REG_QUEUE_NOTIFY, 0xffff);
	virtio_write(&disk.device, REG_QUEUE_NOTIFY, UINT32_MAX);
	return still_works();
}

static bool status_out_of_order(void)
{
	for (uint32_t status = 0x100; status-- > 1;) {
		if (!virtio_reset(&disk.device))
			return false;
		virtio_write(&disk.device, REG_STATUS, status);
		virtio_write(&disk.device, REG_QUEUE_NOTIFY, 0);
		/* No queue was made ready, so at most DRIVER_OK without one. */
		if (virtio_read(&disk.device, REG_STATUS) & STATUS_NEEDS_RESET)
			return false;
	}
	return blk_start(&disk, 0, 0) && still_works();
}

/* Features that were not offered, or not VERSION_1, are refused; any subset of the offered works. */
static bool feature_subsets(void)
{
	static const uint64_t bits[] = { FEATURE_FLUSH, FEATURE_DISCARD, FEATURE_INDIRECT,
					 FEATURE_EVENT_IDX };

	if (!virtio_reset(&disk.device) || virtio_negotiate(&disk.device, 1ull << 50) ||
	    !virtio_reset(&disk.device))
		return false;
	for (uint32_t set = 0; set < FEATURE_SUBSETS; set++) {
		uint64_t features = 0;
		for (uint32_t bit = 0; bit < 4; bit++)
			if (set >> bit & 1)
				features |= bits[bit];
		if (!blk_start(&disk, 0, features) || !still_works())
			return false;
	}
	return true;
}

/* A queue whose parts cannot be: NEEDS_RESET, or not ready, but never used. */
static bool bad_queue(uint32_t reg, uint32_t low, uint32_t high, uint32_t size)
{
	if (!virtio_reset(&disk.device) || !virtio_negotiate(&disk.device, 0))
		return false;
	virtio_write(&disk.device, REG_QUEUE_NUM, size);
	virtio_write(&disk.device, REG_QUEUE_DESC, (uint32_t)(uintptr_t)spare.queue.desc);
	virtio_write(&disk.device, REG_QUEUE_AVAIL, (uint32_t)(uintptr_t)&spare.queue.avail);
	virtio_write(&disk.device, REG_QUEUE_USED, (uint32_t)(uintptr_t)&spare.queue.used);
	virtio_write(&disk.device, reg, low);
	virtio_write(&disk.device, reg + 4, high);
	virtio_write(&disk.device, REG_QUEUE_NUM, size);
	virtio_write(&disk.device, REG_QUEUE_READY, 1);
	virtio_write(&disk.device, REG_STATUS,
		     STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
	virtio_write(&disk.device, REG_QUEUE_NOTIFY, 0);
	return virtio_read(&disk.device, REG_QUEUE_READY) == 0;
}

static bool bad_queues(void)
{
	static const struct {
		uint32_t low, high;
	} places[] = {
		{ 0xc0001000, 0 },          /* device memory */
		{ 0x07fffff0, 0 },          /* across the end of the RAM */
		{ 0x08000000, 0 },          /* behind it */
		{ 0xfffffff0, 0xffffffff }, /* wraps */
		{ 0x00200001, 0 },          /* not aligned */
		{ 0, 0x80000000 },
	};
	static const uint32_t sizes[] = { 0, 3, 127, 256, 0x8000, 0x10000, UINT32_MAX };

	for (uint32_t reg = REG_QUEUE_DESC; reg <= REG_QUEUE_USED; reg += 0x10)
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
			if (!bad_queue(reg, places[i].low, places[i].high, VIRTIO_QUEUE_SIZE))
				return false;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (!bad_queue(REG_QUEUE_SEL, 0, 0, sizes[i]))
			return false;
	return blk_start(&disk, 0, 0) && still_works();
}

void guest_main(const uint8_t *zero_page)
{
	(void)zero_page;
	print_check("start", blk_start(&disk, 0, 0) && still_works());
	print_check("reads everywhere", reads_everywhere());
	print_check("odd writes", odd_writes());
	print_check("live rewrite", live_rewrite());
	print_check("notify anything", notify_anything());
	print_check("status out of order", status_out_of_order());
	print_check("feature subsets", feature_subsets());
	print_check("bad queues", bad_queues());
}
