/* SPDX-License-Identifier: MIT */
/* Rings and chains that break the rules: each marks the device NEEDS_RESET and raises the configuration
 * interrupt, and after a reset it works again. */
#include "rt/blk.h"
#include "rt/rt.h"

#define RAM_BYTES 0x8000000u /* the script says --mem 128M */

static struct blk disk;
static uint8_t data[4096];
static struct virtio_desc table[256] __attribute__((aligned(16)));

static void fill_desc(volatile struct virtio_desc *desc, uint64_t gpa, uint32_t length,
		      uint16_t flags, uint16_t next)
{
	desc->gpa = gpa;
	desc->length = length;
	desc->flags = flags;
	desc->next = next;
}

static void good_request(void)
{
	virtio_offer(&disk.queue, blk_prepare(&disk, 0, BLK_IN, 0, data, 512));
}

static void head_out_of_range(void)
{
	virtio_offer(&disk.queue, VIRTIO_QUEUE_SIZE);
}

static void next_out_of_range(void)
{
	good_request();
	disk.queue.desc[1].next = VIRTIO_QUEUE_SIZE;
}

static void loop_of_one(void)
{
	good_request();
	disk.queue.desc[0].next = 0;
}

static void loop_of_all(void)
{
	for (uint16_t i = 0; i < VIRTIO_QUEUE_SIZE; i++)
		fill_desc(&disk.queue.desc[i], (uintptr_t)data, 16, DESC_NEXT,
			  (uint16_t)((i + 1) % VIRTIO_QUEUE_SIZE));
	virtio_offer(&disk.queue, 0);
}

static void buffer_in_device_memory(void)
{
	good_request();
	disk.queue.desc[1].gpa = 0xc0001000;
}

static void buffer_across_the_end(void)
{
	good_request();
	disk.queue.desc[1].gpa = RAM_BYTES - 511;
}

static void buffer_wraps(void)
{
	good_request();
	disk.queue.desc[1].gpa = UINT64_MAX - 255;
}

static void buffer_huge(void)
{
	good_request();
	disk.queue.desc[1].length = UINT32_MAX;
}

static void buffer_empty(void)
{
	good_request();
	disk.queue.desc[1].length = 0;
}

static void readable_after_writable(void)
{
	good_request();
	disk.queue.desc[2].flags = 0;
}

static void no_status(void)
{
	good_request();
	disk.queue.desc[0].flags = 0;
}

static void short_header(void)
{
	good_request();
	disk.queue.desc[0].length = 15;
}

static void index_jump(void)
{
	good_request();
	disk.queue.avail.index = (uint16_t)(disk.queue.avail.index + VIRTIO_QUEUE_SIZE);
}

static void index_back(void)
{
	good_request();
	disk.queue.avail.index = (uint16_t)(disk.queue.avail.index - 2);
}

static void offer_indirect(uint64_t gpa, uint32_t length, uint16_t flags)
{
	fill_desc(&disk.queue.desc[5], gpa, length, (uint16_t)(DESC_INDIRECT | flags), 6);
	virtio_offer(&disk.queue, 5);
}

static void indirect_empty(void)
{
	offer_indirect((uintptr_t)table, 0, 0);
}

static void indirect_partial(void)
{
	offer_indirect((uintptr_t)table, 40, 0);
}

static void indirect_nested(void)
{
	fill_desc(&table[0], (uintptr_t)table, 16, DESC_INDIRECT, 0);
	offer_indirect((uintptr_t)table, 16, 0);
}

static void indirect_with_next(void)
{
	(void)blk_prepare(&disk, 0, BLK_IN, 0, data, 512);
	offer_indirect((uintptr_t)disk.indirect[0], 48, DESC_NEXT);
}

static void indirect_outside(void)
{
	offer_indirect(RAM_BYTES - 16, 48, 0);
}

static void indirect_too_long(void)
{
	for (uint16_t i = 0; i < 256; i++)
		fill_desc(&table[i], (uintptr_t)data, 16, DESC_NEXT, (uint16_t)(i + 1));
	table[255].flags = DESC_WRITE;
	offer_indirect((uintptr_t)table, sizeof(table), 0);
}

static void indirect_loop(void)
{
	fill_desc(&table[0], (uintptr_t)data, 16, DESC_NEXT, 1);
	fill_desc(&table[1], (uintptr_t)data, 16, DESC_NEXT, 0);
	offer_indirect((uintptr_t)table, 32, 0);
}

static void indirect_next_outside(void)
{
	fill_desc(&table[0], (uintptr_t)data, 16, DESC_NEXT, 9);
	offer_indirect((uintptr_t)table, 32, 0);
}

static const struct {
	const char *name;
	void (*offer)(void);
	uint64_t features;
} cases[] = {
	{ "head out of range", head_out_of_range, 0 },
	{ "next out of range", next_out_of_range, 0 },
	{ "loop of one", loop_of_one, 0 },
	{ "loop of all", loop_of_all, 0 },
	{ "buffer in device memory", buffer_in_device_memory, 0 },
	{ "buffer across the end", buffer_across_the_end, 0 },
	{ "buffer wraps", buffer_wraps, 0 },
	{ "buffer huge", buffer_huge, 0 },
	{ "buffer empty", buffer_empty, 0 },
	{ "readable after writable", readable_after_writable, 0 },
	{ "no status", no_status, 0 },
	{ "short header", short_header, 0 },
	{ "index jump", index_jump, 0 },
	{ "index back", index_back, 0 },
	{ "indirect not negotiated", indirect_nested, 0 },
	{ "indirect empty", indirect_empty, FEATURE_INDIRECT },
	{ "indirect partial", indirect_partial, FEATURE_INDIRECT },
	{ "indirect nested", indirect_nested, FEATURE_INDIRECT },
	{ "indirect with next", indirect_with_next, FEATURE_INDIRECT },
	{ "indirect outside", indirect_outside, FEATURE_INDIRECT },
	{ "indirect too long", indirect_too_long, FEATURE_INDIRECT },
	{ "indirect loop", indirect_loop, FEATURE_INDIRECT },
	{ "indirect next outside", indirect_next_outside, FEATURE_INDIRECT },
};

/* Returns what went wrong, or NULL. */
static const char *run_case(void (*offer)(void), uint64_t features)
{
	if (!blk_start(&disk, 0, features))
		return "start";
	offer();
	virtio_write(&disk.device, REG_QUEUE_NOTIFY, 0);
	if (!virtio_wait_needs_reset(&disk.device))
		return "it does not need a reset";
	if (!(virtio_read(&disk.device, REG_INTERRUPT_STATUS) & INTERRUPT_CONFIG))
		return "no configuration interrupt";
	if (disk.queue.used.index != 0)
		return "it was answered";
	virtio_write(&disk.device, REG_INTERRUPT_ACK, INTERRUPT_CONFIG | INTERRUPT_RING);
	if (virtio_read(&disk.device, REG_INTERRUPT_STATUS) != 0)
		return "the interrupt cannot be acknowledged";
	if (!blk_start(&disk, 0, features) ||
	    blk_io(&disk, BLK_IN, 0, data, sizeof(data)) != BLK_OK)
		return "it does not work after a reset";
	return NULL;
}

void guest_main(const uint8_t *zero_page)
{
	(void)zero_page;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *wrong = run_case(cases[i].offer, cases[i].features);
		print(cases[i].name);
		print(wrong == NULL ? " ok" : ": ");
		print(wrong == NULL ? "" : wrong);
		print("\n");
	}
}
