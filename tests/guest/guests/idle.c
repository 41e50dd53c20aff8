/* SPDX-License-Identifier: MIT */
/* A machine with a disk, a NIC and a vsock whose drivers are ready and have nothing to do; then the CPU is
 * halted for good. The word "starved" of the command line: with no receive buffers; "nothing": no driver at all; "snapshot": it
 * asks for one when they are ready, and its clones read the disk once more. */
#include "rt/blk.h"
#include "rt/irq.h"
#include "rt/net.h"
#include "rt/rt.h"
#include "rt/vsock.h"

#define VECTOR_HALT     0x60
#define ICR_TO_SELF     0x44000u
#define BOOT_TIMER_GPA  0xc0000000u
#define SNAPSHOT_WANTED 124

GUEST_WITH_INTERRUPTS;

static struct blk disk;
static struct net nic;
static struct vsock vsock;
static uint8_t data[BLK_SECTOR_BYTES];

/* At CPL 0, with interrupts off: nothing wakes it. */
static void halt(void)
{
	for (;;)
		__asm__ volatile("hlt");
}

static void start(bool starved)
{
	print_check("disk", blk_start(&disk, 0, FEATURE_EVENT_IDX) &&
				    blk_io(&disk, BLK_IN, 0, data, sizeof(data)) == BLK_OK);
	print_check("nic", starved ? net_start_without_buffers(&nic, 1, FEATURE_EVENT_IDX)
				   : net_start(&nic, 1, FEATURE_EVENT_IDX));
	print_check("vsock", starved ? vsock_start_without_buffers(&vsock, 2, FEATURE_EVENT_IDX)
				     : vsock_start(&vsock, 2, FEATURE_EVENT_IDX));
	/* The devices look for buffers, also where there are none. */
	virtio_write(&nic.device, REG_QUEUE_NOTIFY, NET_RX);
	virtio_write(&vsock.device, REG_QUEUE_NOTIFY, VSOCK_RX);
}

void guest_main(const uint8_t *zero_page)
{
	irq_init();
	irq_set_handler(VECTOR_HALT, halt);
	pic_init(0xffff);
	lapic_enable();
	if (cmdline_value(zero_page, "nothing") == NULL)
		start(cmdline_value(zero_page, "starved") != NULL);
	if (cmdline_value(zero_page, "snapshot") != NULL) {
		mmio_write8(BOOT_TIMER_GPA, SNAPSHOT_WANTED);
		print_check("disk", blk_io(&disk, BLK_IN, 0, data, sizeof(data)) == BLK_OK);
	}
	print("ready\n");
	lapic_write(LAPIC_ICR_HIGH, 0);
	lapic_write(LAPIC_ICR_LOW, ICR_TO_SELF | VECTOR_HALT);
	for (;;)
		cpu_pause();
}
