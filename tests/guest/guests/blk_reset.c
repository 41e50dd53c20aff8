/* SPDX-License-Identifier: MIT */
/* Resets with I/O in flight, at growing depths: afterwards no answer of the earlier life arrives, no
 * buffer changes, and the device works. `rounds=` at each depth. */
#include "rt/blk.h"
#include "rt/rt.h"

#define BUFFER_BYTES (256u << 10)
#define MARK         0x1badb002u
#define CANARY       0x5a

#define PATIENCE_TSC (30 * VIRTIO_WAIT_TSC) /* a busy host's disk may take long */

static struct blk disk;
static uint8_t data[BLK_SLOTS][BUFFER_BYTES] __attribute__((aligned(4096)));

/* However long the requests of an earlier life take, for which new ones wait. */
static bool still_works(void)
{
	uint64_t start = read_tsc();
	bool done = false;

	*(uint32_t *)(void *)data[0] = 0;
	virtio_offer(&disk.queue, blk_prepare(&disk, 0, BLK_IN, 0, data[0], 512));
	virtio_kick(&disk.device, &disk.queue);
	while (!done && read_tsc() - start < PATIENCE_TSC)
		done = virtio_wait(&disk.queue, 1);
	return done && disk.status[0] == BLK_OK && *(uint32_t *)(void *)data[0] == MARK;
}

/* virtio 1.2, 2.4.1: the reset is complete when the status reads 0, however long the disk takes. */
static bool wait_until_reset(void)
{
	uint64_t start = read_tsc();

	while (virtio_read(&disk.device, REG_STATUS) != 0)
		if (read_tsc() - start > PATIENCE_TSC)
			return false;
	return true;
}

static bool reset_in_flight(unsigned depth, uint32_t type)
{
	if (!blk_start(&disk, 0, FEATURE_INDIRECT | FEATURE_FLUSH))
		return false;
	for (unsigned i = 0; i < depth; i++)
		virtio_offer(&disk.queue, blk_prepare(&disk, i, type, 512u * i + 8, data[i],
						      type == BLK_FLUSH ? 0 : BUFFER_BYTES));
	virtio_kick(&disk.device, &disk.queue);
	virtio_write(&disk.device, REG_STATUS, 0);
	if (!wait_until_reset())
		return false;
	/* Complete: the memory is the guest's again. */
	uint16_t used = disk.queue.used.index;
	for (unsigned i = 0; i < depth; i++) {
		data[i][0] = data[i][BUFFER_BYTES - 1] = CANARY;
		disk.status[i] = CANARY;
	}
	for (unsigned i = 0; i < 1000; i++)
		cpu_pause();
	for (unsigned i = 0; i < depth; i++)
		if (data[i][0] != CANARY || data[i][BUFFER_BYTES - 1] != CANARY ||
		    disk.status[i] != CANARY)
			return false;
	return disk.queue.used.index == used;
}

/* A driver that does not wait for the 0 and starts at once. */
static bool impatient(unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		virtio_offer(&disk.queue,
			     blk_prepare(&disk, i, BLK_IN, 512u * i + 8, data[i], BUFFER_BYTES));
	virtio_kick(&disk.device, &disk.queue);
	virtio_write(&disk.device, REG_STATUS, 0);
	/* Until the earlier life is over the status shows NEEDS_RESET beside the driver's bits. */
	(void)virtio_negotiate(&disk.device, FEATURE_INDIRECT);
	virtio_make_queue(&disk.device, &disk.queue, 0);
	virtio_driver_ok(&disk.device);
	return still_works() && !(virtio_read(&disk.device, REG_STATUS) & STATUS_NEEDS_RESET);
}

void guest_main(const uint8_t *zero_page)
{
	static const unsigned depths[] = { 1, 2, 8, 32, BLK_SLOTS };
	static const uint32_t types[] = { BLK_IN, BLK_OUT, BLK_FLUSH };
	uint64_t rounds = cmdline_number(zero_page, "rounds=", 1);
	bool ok = true;

	for (uint64_t round = 0; ok && round < rounds; round++)
		for (unsigned d = 0; ok && d < sizeof(depths) / sizeof(depths[0]); d++)
			for (unsigned t = 0; ok && t < 3; t++)
				ok = reset_in_flight(depths[d], types[t]);
	print_check("reset in flight", ok);
	print_check("works after it", blk_start(&disk, 0, FEATURE_INDIRECT) && still_works());
	ok = true;
	for (uint64_t round = 0; ok && round < rounds; round++)
		ok = impatient(BLK_SLOTS);
	print_check("impatient driver", ok);
}
