/* SPDX-License-Identifier: MIT */
/* Reads or writes a disk as fast as it can, polling. Words of the command line: op=read or write, depth=N (1 to 32),
 * bytes=N of each request, random=1, kticks=N. */
#include "io_bench.h"
#include "rt/blk.h"

#define DEPTH_MAX 32u
#define BYTES_MAX (1u << 20)

static struct blk disk;
static uint8_t data[DEPTH_MAX][BYTES_MAX] __attribute__((aligned(4096)));
static uint64_t state = 88172645463325252ull, blocks, next_block;

/* xorshift64: cheap, and no block is favoured. */
static uint64_t random_block(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % blocks;
}

/* With FLUSH, if it is offered: a device must make each write stable at once for a driver that cannot flush. */
static bool start(unsigned index)
{
	disk.device.base = VIRTIO_WINDOW(index);
	return blk_start(&disk, index, virtio_offered(&disk.device) & FEATURE_FLUSH);
}

static void submit(unsigned slot, uint32_t type, uint32_t bytes, bool random)
{
	uint64_t block = random ? random_block() : next_block++ % blocks;
	uint64_t sector = block * (bytes / BLK_SECTOR_BYTES);

	virtio_offer(&disk.queue, blk_prepare(&disk, slot, type, sector, data[slot], bytes));
}

void guest_main(const uint8_t *zero_page)
{
	const char *op = cmdline_value(zero_page, "op=");
	uint32_t type = op != NULL && op[0] == 'w' ? BLK_OUT : BLK_IN;
	uint32_t depth = (uint32_t)cmdline_number(zero_page, "depth=", 1);
	uint32_t bytes = (uint32_t)cmdline_number(zero_page, "bytes=", 4096);
	bool random = cmdline_number(zero_page, "random=", 0) != 0;
	uint64_t count = 0, idle_since;
	uint32_t length;

	if (depth == 0 || depth > DEPTH_MAX || bytes > BYTES_MAX || !start(device_index(zero_page)))
		give_up("start");
	blocks = blk_capacity(&disk) * BLK_SECTOR_BYTES / bytes;
	for (unsigned slot = 0; slot < depth; slot++)
		submit(slot, type, bytes, random);
	uint64_t end = measure_begin(zero_page);
	virtio_kick(&disk.device, &disk.queue);
	idle_since = read_tsc();
	while (read_tsc() < end) {
		int head = virtio_take(&disk.queue, &length);
		if (head < 0 && read_tsc() - idle_since > VIRTIO_WAIT_TSC)
			give_up("answer");
		if (head < 0)
			continue;
		/* All that are there go back with one kick. */
		for (; head >= 0; head = virtio_take(&disk.queue, &length), count++) {
			unsigned slot = (unsigned)head / 3;
			if (disk.status[slot] != BLK_OK)
				give_up("request");
			submit(slot, type, bytes, random);
		}
		virtio_kick(&disk.device, &disk.queue);
		idle_since = read_tsc();
	}
	measure_end(count);
	guest_reset();
}
