/* SPDX-License-Identifier: MIT */
/* Echoes `bytes=` bytes from the serial port to it, both directions by interrupt 4 alone; then prints
 * how it went. With `polled` there are no interrupts: the line status tells. */
#include "rt/irq.h"
#include "rt/rt.h"

#define SERIAL_LINE   4
#define VECTOR_SERIAL 0x44
#define REG_IER       (SERIAL_PORT + 1)
#define REG_IIR       (SERIAL_PORT + 2)
#define REG_FCR       (SERIAL_PORT + 2)
#define REG_MCR       (SERIAL_PORT + 4)
#define REG_LSR       (SERIAL_PORT + 5)
#define IIR_CAUSE     0x0f
#define IIR_NONE      0x01
#define IIR_TX        0x02
#define IIR_RX        0x04
#define LSR_RX        0x01
#define FIFO_BYTES    16
#define RING_BYTES    (1u << 20)

GUEST_WITH_INTERRUPTS;

static uint8_t ring[RING_BYTES];
static uint32_t received, sent, strays;
static volatile uint32_t interrupts;
static bool transmitter_idle = true;

static void serial_interrupt(void)
{
	interrupts++;
	lapic_write(LAPIC_EOI, 0);
}

static void receive(void)
{
	do
		ring[received++ % RING_BYTES] = inb(SERIAL_PORT);
	while (inb(REG_LSR) & LSR_RX);
}

static void transmit(void)
{
	transmitter_idle = sent == received;
	for (unsigned i = 0; i < FIFO_BYTES && sent != received; i++)
		outb(SERIAL_PORT, ring[sent++ % RING_BYTES]);
}

static void serve_interrupt(void)
{
	uint8_t cause;

	while ((cause = inb(REG_IIR) & IIR_CAUSE) != IIR_NONE) {
		if (cause == IIR_RX) {
			receive();
			if (transmitter_idle)
				transmit(); /* the next ones come from interrupts */
		} else if (cause == IIR_TX) {
			transmit();
		} else {
			strays++;
		}
	}
}

static void echo_by_interrupt(uint64_t bytes)
{
	uint32_t seen = 0;

	irq_init();
	irq_set_handler(VECTOR_SERIAL, serial_interrupt);
	pic_init(0xffff);
	lapic_enable();
	ioapic_route(SERIAL_LINE, VECTOR_SERIAL);
	outb(REG_FCR, 0x07);
	outb(REG_MCR, 0x0b);
	outb(REG_IER, 0x03);
	while (sent < bytes) {
		if (seen == interrupts) {
			cpu_pause();
			continue;
		}
		seen = interrupts;
		serve_interrupt();
	}
	outb(REG_IER, 0);
}

static void echo_polled(uint64_t bytes)
{
	outb(REG_IER, 0x01); /* the monitor hands bytes to a guest that says it listens */
	for (; received < bytes; received++) {
		while (!(inb(REG_LSR) & LSR_RX))
			cpu_pause();
		outb(SERIAL_PORT, inb(SERIAL_PORT));
	}
}

void guest_main(const uint8_t *zero_page)
{
	uint64_t bytes = cmdline_number(zero_page, "bytes=", 0);

	if (cmdline_value(zero_page, "ready") != NULL)
		print("ready\n");
	if (cmdline_value(zero_page, "polled") != NULL) {
		pic_init(0xffff);
		echo_polled(bytes);
		return;
	}
	echo_by_interrupt(bytes);
	print_check("interrupts", interrupts > 0 && strays == 0);
}
