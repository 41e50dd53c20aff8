/* SPDX-License-Identifier: MIT */
/* Two disks, the first of which answers nothing: `op=` (in, out, flush), `depth=` and `stride=` (sectors) say what waits there
 * while the second is used in every way, `rounds=` times. Then it waits for its end. */
#include "rt/blk.h"
#include "rt/rt.h"

#define PATIENCE_TSC (10 * VIRTIO_WAIT_TSC)
#define ROUNDS       8u
#define DEPTH        32u
#define BYTES        4096u

static struct blk hung, healthy;
static uint8_t data[BLK_SLOTS][BYTES] __attribute__((aligned(4096)));

static uint32_t operation(const uint8_t *zero_page)
{
	const char *name = cmdline_value(zero_page, "op=");

	return name != NULL && name[0] == 'i'   ? BLK_IN
	       : name != NULL && name[0] == 'o' ? BLK_OUT
						: BLK_FLUSH;
}

static void fill_hung_disk(uint32_t type, unsigned depth, uint64_t stride)
{
	for (unsigned i = 0; i < depth; i++)
		virtio_offer(&hung.queue, blk_prepare(&hung, i, type, stride * i, data[i],
						      type == BLK_FLUSH ? 0 : BYTES));
	virtio_kick(&hung.device, &hung.queue);
}

/* DEPTH requests at once, all of which must come back. */
static bool batch(uint32_t type)
{
	uint64_t start = read_tsc();
	bool done = false;

	for (unsigned i = 0; i < DEPTH; i++)
		virtio_offer(&healthy.queue, blk_prepare(&healthy, i, type, 8u * i, data[i],
							 type == BLK_FLUSH ? 0 : BYTES));
	virtio_kick(&healthy.device, &healthy.queue);
	while (!done && read_tsc() - start < PATIENCE_TSC)
		done = virtio_wait(&healthy.queue, DEPTH);
	for (unsigned i = 0; i < DEPTH; i++)
		done &= healthy.status[i] == BLK_OK;
	return done;
}

static bool rounds(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (!batch(BLK_OUT) || !batch(BLK_FLUSH) || !batch(BLK_IN))
			return false;
	return true;
}

void guest_main(const uint8_t *zero_page)
{
	unsigned depth = (unsigned)cmdline_number(zero_page, "depth=", BLK_SLOTS);

	print_check("start",
		    blk_start(&hung, 0, FEATURE_FLUSH) && blk_start(&healthy, 1, FEATURE_FLUSH));
	fill_hung_disk(operation(zero_page), depth, cmdline_number(zero_page, "stride=", 8));
	print_check("healthy", rounds(cmdline_number(zero_page, "rounds=", ROUNDS)));
	print_check("hung", hung.queue.used.index == 0);
	for (;;)
		cpu_pause();
}
