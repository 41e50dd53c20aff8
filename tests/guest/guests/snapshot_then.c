/* SPDX-License-Identifier: MIT */
/* Asks for a snapshot, and then does what the command line says: in the clones only. */
#include "rt/blk.h"
#include "rt/rt.h"

#define BOOT_TIMER_GPA    0xc0000000u
#define USERSPACE_REACHED 123
#define SNAPSHOT_WANTED   124
#define WARM_BOOT_GPA     0x472u
#define WARM_BOOT         0x1234
#define WRITTEN_GPA       0x2000000u
#define READ_GPA          0x2800000u
#define STRIDE            0x20000u
#define PAGES             5u

static struct blk disk;
static uint8_t data[BLK_SECTOR_BYTES];

/* Each page is in use before the snapshot. */
static void use_pages(void)
{
	for (uint32_t i = 0; i < PAGES; i++) {
		mmio_write8(WRITTEN_GPA + i * STRIDE, 1);
		mmio_write8(READ_GPA + i * STRIDE, 1);
	}
}

static void touch_pages(void)
{
	for (uint32_t i = 0; i < PAGES; i++) {
		mmio_write8(WRITTEN_GPA + i * STRIDE, 2);
		(void)mmio_read8(READ_GPA + i * STRIDE);
	}
	print("clone\n");
}

/* A disk that is reset has other queues than those that were stopped. */
static void write_disk(bool anew)
{
	if (anew && !blk_start(&disk, 0, 0))
		print("start FAILED\n");
	memset(data, 0x5a, sizeof(data));
	print_check("write", blk_io(&disk, BLK_OUT, 1, data, sizeof(data)) == BLK_OK);
}

static _Noreturn void spin(void)
{
	for (;;)
		cpu_pause();
}

void guest_main(const uint8_t *zero_page)
{
	bool has_disk = cmdline_value(zero_page, "write") != NULL;

	if (has_disk && !blk_start(&disk, 0, 0))
		print("start FAILED\n");
	use_pages();
	print("asks\n");
	mmio_write8(BOOT_TIMER_GPA, SNAPSHOT_WANTED);
	if (cmdline_value(zero_page, "touch") != NULL)
		touch_pages();
	if (has_disk)
		write_disk(cmdline_value(zero_page, "anew") != NULL);
	if (cmdline_value(zero_page, "again") != NULL) {
		mmio_write8(BOOT_TIMER_GPA, USERSPACE_REACHED);
		mmio_write8(BOOT_TIMER_GPA, SNAPSHOT_WANTED);
	}
	if (cmdline_value(zero_page, "status=") != NULL)
		outb(0xf4, (uint8_t)cmdline_number(zero_page, "status=", 0));
	if (cmdline_value(zero_page, "reset") != NULL)
		guest_reset();
	if (cmdline_value(zero_page, "crash") != NULL) {
		mmio_write8(WARM_BOOT_GPA, WARM_BOOT & 0xff);
		mmio_write8(WARM_BOOT_GPA + 1, WARM_BOOT >> 8);
		guest_reset();
	}
	if (cmdline_value(zero_page, "jump-nowhere") != NULL)
		__asm__ volatile("jmp *%0" ::"r"(0xc9000000ul));
	if (cmdline_value(zero_page, "spin") != NULL)
		spin();
	if (cmdline_value(zero_page, "flood") != NULL)
		for (int i = 0; i < 1000; i++)
			print("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n");
}
