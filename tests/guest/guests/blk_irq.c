/* SPDX-License-Identifier: MIT */
/* A virtio-blk driver by interrupt: GSI 5, through the IOAPIC, edge-triggered. Prints how many it took. */
#include "rt/blk.h"
#include "rt/irq.h"
#include "rt/rt.h"

#define DISK_PIN    5
#define VECTOR_DISK 0x45
#define BATCH       16u

GUEST_WITH_INTERRUPTS;

static struct blk disk;
static uint8_t data[BATCH][BLK_SECTOR_BYTES];
static volatile uint32_t interrupts, causes;

static void disk_interrupt(void)
{
	uint32_t status = virtio_read(&disk.device, REG_INTERRUPT_STATUS);

	causes |= status;
	virtio_write(&disk.device, REG_INTERRUPT_ACK, status);
	interrupts++;
	lapic_write(LAPIC_EOI, 0);
}

static bool wait_interrupt(uint32_t before)
{
	uint64_t start = read_tsc();

	while (interrupts == before)
		if (read_tsc() - start > VIRTIO_WAIT_TSC)
			return false;
	return true;
}

static void begin(uint64_t features)
{
	print_check("start", blk_start(&disk, 0, features));
	interrupts = causes = 0;
	disk.queue.avail.flags = 0; /* interrupts, please */
}

/* Each request is waited for by its interrupt alone. */
static bool one_by_one(bool event_idx)
{
	for (uint16_t i = 0; i < BATCH; i++) {
		uint32_t before = interrupts;
		if (event_idx)
			disk.queue.avail.used_event = i;
		virtio_offer(&disk.queue,
			     blk_prepare(&disk, 0, BLK_IN, i, data[0], BLK_SECTOR_BYTES));
		virtio_kick(&disk.device, &disk.queue);
		if (!wait_interrupt(before) || disk.queue.used.index != i + 1 ||
		    disk.status[0] != BLK_OK)
			return false;
	}
	disk.queue.seen_used = BATCH;
	return interrupts == BATCH && causes == INTERRUPT_RING;
}

/* With EVENT_IDX the driver asks for one interrupt, at the last of a batch. */
static bool one_for_a_batch(void)
{
	uint32_t before = interrupts;

	disk.queue.avail.used_event = (uint16_t)(disk.queue.seen_used + BATCH - 1);
	for (unsigned i = 0; i < BATCH; i++)
		virtio_offer(&disk.queue,
			     blk_prepare(&disk, i, BLK_IN, i, data[i], BLK_SECTOR_BYTES));
	virtio_kick(&disk.device, &disk.queue);
	return wait_interrupt(before) && virtio_wait(&disk.queue, BATCH) &&
	       interrupts == before + 1;
}

static bool none_wanted(void)
{
	uint32_t before = interrupts;

	disk.queue.avail.flags = 1;
	for (uint16_t i = 0; i < BATCH; i++)
		if (blk_io(&disk, BLK_IN, i, data[0], BLK_SECTOR_BYTES) != BLK_OK)
			return false;
	return interrupts == before;
}

static bool configuration_change(void)
{
	uint32_t before = interrupts;

	causes = 0;
	virtio_offer(&disk.queue, VIRTIO_QUEUE_SIZE); /* no such descriptor */
	virtio_write(&disk.device, REG_QUEUE_NOTIFY, 0);
	return wait_interrupt(before) && causes == INTERRUPT_CONFIG &&
	       (virtio_read(&disk.device, REG_STATUS) & STATUS_NEEDS_RESET);
}

void guest_main(const uint8_t *zero_page)
{
	(void)zero_page;
	irq_init();
	irq_set_handler(VECTOR_DISK, disk_interrupt);
	pic_init(0xffff);
	lapic_enable();
	ioapic_route(DISK_PIN, VECTOR_DISK);
	begin(0);
	print_check("one by one", one_by_one(false));
	print_check("none wanted", none_wanted());
	begin(FEATURE_EVENT_IDX);
	print_check("event-idx one by one", one_by_one(true));
	print_check("event-idx one for a batch", one_for_a_batch());
	print_check("configuration change", configuration_change());
}
