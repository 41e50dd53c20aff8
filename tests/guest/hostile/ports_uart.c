/* SPDX-License-Identifier: MIT */
/* The UART, which is also how the host is told. */
#include "hostile/hostile.h"

#define UART      SERIAL_PORT
#define IER       (UART + 1)
#define FCR       (UART + 2)
#define LCR       (UART + 3)
#define MCR       (UART + 4)
#define LSR       (UART + 5)
#define LCR_DLAB  0x80u
#define LCR_8N1   0x03u
#define MCR_LOOP  0x10u
#define REGISTERS 8u
#define FLOOD     (300u * effort)

static void uart_restore(void)
{
	outb(LCR, LCR_8N1);
	outb(MCR, 0);
	outb(IER, 0);
	outb(FCR, 0);
	(void)inb(UART);
}

static void uart_reads_of_every_width(const struct target *target)
{
	(void)target;
	for (uint16_t port = UART - 4; port < UART + REGISTERS + 2; port++) {
		(void)inb(port);
		(void)inw(port);
		(void)inl(port);
	}
}

/* Not to the data port: that would be printed. */
static void uart_every_value(const struct target *target)
{
	(void)target;
	for (unsigned value = 0; value<256; value += effort> 1 ? 1 : 5) {
		for (uint16_t at = 1; at < REGISTERS; at++) {
			outb(UART + at, (uint8_t)value);
			(void)inb(UART + at);
		}
		outb(LCR, LCR_8N1);
		outb(MCR, 0);
	}
	uart_restore();
}

static void uart_wide_writes(const struct target *target)
{
	(void)target;
	for (uint16_t port = UART - 3; port < UART + REGISTERS; port++) {
		outw(port, 0xffff);
		outl(port, UINT32_MAX);
	}
	uart_restore();
}

static void uart_divisors(const struct target *target)
{
	static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };

	(void)target;
	outb(LCR, LCR_DLAB | LCR_8N1);
	for (unsigned i = 0; i < 5; i++) {
		outb(UART, values[i]);
		outb(IER, values[i]);
		if (inb(UART) != values[i] || inb(IER) != values[i])
			fails("the divisor is not kept");
	}
	uart_restore();
}

static void uart_loop_flood(const struct target *target)
{
	(void)target;
	outb(MCR, MCR_LOOP);
	for (unsigned i = 0; i < FLOOD; i++)
		outb(UART, (uint8_t)i);
	for (unsigned i = 0; i < 40; i++)
		(void)inb(UART);
	uart_restore();
}

static void uart_interrupt_storm(const struct target *target)
{
	(void)target;
	for (unsigned i = 0; i < FLOOD; i++) {
		outb(IER, 0x0f);
		outb(IER, 0);
		(void)inb(FCR);
	}
	uart_restore();
}

static void uart_modem_lines(const struct target *target)
{
	(void)target;
	for (unsigned i = 0; i < FLOOD; i++)
		outb(MCR, (uint8_t)(MCR_LOOP | i));
	uart_restore();
}

static void uart_fifo_resets(const struct target *target)
{
	(void)target;
	for (unsigned i = 0; i < FLOOD; i++)
		outb(FCR, (uint8_t)(i | 6));
	uart_restore();
}

static void uart_break_and_odd_lines(const struct target *target)
{
	(void)target;
	for (unsigned i = 0; i < 0x80; i++)
		outb(LCR, (uint8_t)i);
	uart_restore();
}

/* What is typed comes while the guest is deaf, hears, and is deaf again. */
static void uart_typed_while_deaf(const struct target *target)
{
	(void)target;
	if (host_does("type"))
		fails("nothing is typed");
	for (unsigned i = 0; i < 20; i++)
		outb(IER, i & 1);
	outb(IER, 1);
	for (uint8_t byte = 0; byte != 'y';) {
		while (!(inb(LSR) & 1))
			cpu_pause();
		byte = inb(UART);
	}
}

static void uart_reads_of_nothing(const struct target *target)
{
	(void)target;
	for (unsigned i = 0; i < FLOOD; i++)
		(void)inb(UART);
}

/* cases: uart */
static const struct hostile_case uart_cases[] = {
	{ "reads-of-every-width", 1, LIVES, 0, uart_reads_of_every_width },
	{ "every-value", 1, LIVES, 0, uart_every_value },
	{ "wide-writes", 1, LIVES, 0, uart_wide_writes },
	{ "divisors", 1, LIVES, 0, uart_divisors },
	{ "loop-flood", 7, LIVES, 0, uart_loop_flood },
	{ "interrupt-storm", 15, LIVES, 0, uart_interrupt_storm },
	{ "modem-lines", 1, LIVES, 0, uart_modem_lines },
	{ "fifo-resets", 17, LIVES, 0, uart_fifo_resets },
	{ "break-and-odd-lines", 1, LIVES, 0, uart_break_and_odd_lines },
	{ "typed-while-deaf", 7, LIVES, 0, uart_typed_while_deaf },
	{ "reads-of-nothing", 9, LIVES, 0, uart_reads_of_nothing },
};
HOSTILE_TABLE(uart_table, uart_cases, "uart");
