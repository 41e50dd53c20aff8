/* SPDX-License-Identifier: MIT */
/* Writes to its disk and flushes it when it is told to, by a byte from the console. With the word no-flush it does not
 * flush, with `stay` it does not end. */
#include "rt/blk.h"
#include "rt/rt.h"

#define INTERRUPT_ENABLE (SERIAL_PORT + 1)
#define LINE_STATUS      (SERIAL_PORT + 5)
#define DATA_READY       1u

static struct blk disk;
static uint8_t data[BLK_SECTOR_BYTES];

void guest_main(const uint8_t *zero_page)
{
	print_check("start", blk_start(&disk, 0, FEATURE_FLUSH));
	outb(INTERRUPT_ENABLE, 1); /* the monitor hands bytes to a guest that says it listens */
	while (!(inb(LINE_STATUS) & DATA_READY))
		cpu_pause();
	(void)inb(SERIAL_PORT);
	print_check("write", blk_io(&disk, BLK_OUT, 1, data, sizeof(data)) == BLK_OK);
	while (cmdline_value(zero_page, "stay") != NULL)
		cpu_pause();
	if (cmdline_value(zero_page, "no-flush") != NULL)
		return;
	print_check("flush", blk_io(&disk, BLK_FLUSH, 0, NULL, 0) == BLK_OK);
}
