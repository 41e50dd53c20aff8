/* SPDX-License-Identifier: MIT */
/* Prints each byte that the serial port receives as "<hex>", until 'q'. */
#include "rt/irq.h"
#include "rt/rt.h"

#define REG_IER (SERIAL_PORT + 1)
#define REG_LSR (SERIAL_PORT + 5)
#define LSR_RX  0x01

void guest_main(const uint8_t *zero_page)
{
	uint8_t key = 0;

	(void)zero_page;
	outb(REG_IER, 0x01); /* the monitor hands bytes to a guest that listens */
	print("ready");
	while (key != 'q') {
		while (!(inb(REG_LSR) & LSR_RX))
			cpu_pause();
		key = inb(SERIAL_PORT);
		print("<");
		print_hex(key);
		print(">");
	}
}
