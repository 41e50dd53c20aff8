/* SPDX-License-Identifier: MIT */
/* The UART as the guest's driver sees it, and the flow of bytes to the host. */
#include "io/serial.h"

#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/check.h"

#define DATA 0
#define IER  1
#define IIR  2
#define FCR  2
#define LCR  3
#define MCR  4
#define LSR  5
#define MSR  6
#define SCR  7

#define STREAM_BYTES (10u << 20)

static struct serial serial;
static atomic_uint irqs, wakes;
static atomic_int waits; /* under way */

static void count_irq(void *context)
{
	(void)context;
	atomic_fetch_add(&irqs, 1);
}

static void count_wake(void *context)
{
	(void)context;
	atomic_fetch_add(&wakes, 1);
}

static void count_waits(void *context, bool begins)
{
	(void)context;
	atomic_fetch_add(&waits, begins ? 1 : -1);
}

static bool never_now(void *context, uint8_t byte)
{
	(void)context, (void)byte;
	return false;
}

static void set_up(void)
{
	serial_init(&serial,
		    (struct serial_host){ never_now, count_irq, count_wake, count_waits, NULL });
	irqs = wakes = 0;
}

static uint64_t access_wide(uint64_t reg, unsigned length, bool is_write, uint64_t value)
{
	uint8_t data[8];
	struct bus_access access = { reg, length, is_write, data };

	memcpy(data, &value, sizeof(data));
	serial_access(&serial, &access);
	memcpy(&value, data, sizeof(data));
	return value;
}

static uint8_t in(uint64_t reg)
{
	return (uint8_t)access_wide(reg, 1, false, 0);
}

static void out(uint64_t reg, uint8_t value)
{
	access_wide(reg, 1, true, value);
}

static void type(const char *text)
{
	CHECK(serial_receive_room(&serial) >= strlen(text));
	serial_receive(&serial, (const uint8_t *)text, (unsigned)strlen(text));
}

static void test_at_power_on(void)
{
	static const uint8_t values[8] = { 0, 0, 0x01, 0, 0, 0x60, 0xb0, 0 };

	set_up();
	for (unsigned reg = 0; reg < 8; reg++)
		CHECK_EQ(in(reg), values[reg]);
	CHECK_EQ(irqs, 0);
}

/* The steps of autoconfig() in Linux's 8250 driver, which decide whether there is a 16550A. */
static void test_linux_finds_a_16550a(void)
{
	set_up();
	out(IER, 0);
	CHECK_EQ(in(IER)&0x0f, 0);
	out(IER, 0x0f);
	CHECK_EQ(in(IER)&0x0f, 0x0f);
	out(IER, 0);
	out(MCR, 0x10 | 0x0a); /* loop-back with OUT2 and RTS: DCD and CTS come back */
	CHECK_EQ(in(MSR)&0xf0, 0x90);
	out(MCR, 0);
	out(LCR, 0xbf); /* no 16650 or later */
	CHECK_EQ(in(FCR)&0x80, 0);
	out(LCR, 0);
	out(FCR, 1);
	CHECK_EQ(in(IIR) >> 6, 3);
	CHECK_EQ(in(IIR)&0x20, 0); /* no 64-byte FIFO of a 16750 */
	out(IER, 0xff);
	CHECK_EQ(in(IER)&0xf0, 0);
	out(IER, 0);
}

static void test_modem_lines_loop_back(void)
{
	static const uint8_t msr_of_mcr[16] = { 0x00, 0x20, 0x10, 0x30, 0x40, 0x60, 0x50, 0x70,
						0x80, 0xa0, 0x90, 0xb0, 0xc0, 0xe0, 0xd0, 0xf0 };

	set_up();
	for (unsigned mcr = 0; mcr < 256; mcr++) {
		out(MCR, (uint8_t)mcr);
		CHECK_EQ(in(MCR), mcr & 0x1f);
		CHECK_EQ(in(MSR), mcr & 0x10 ? msr_of_mcr[mcr & 15] : 0xb0);
	}
}

static void test_divisor_latch(void)
{
	set_up();
	out(IER, 5);
	out(LCR, 0x83);
	out(DATA, 0x0c);
	out(IER, 0x01);
	CHECK_EQ(in(DATA), 0x0c);
	CHECK_EQ(in(IER), 0x01);
	out(LCR, 0x03);
	CHECK_EQ(in(IER), 5);
	CHECK_EQ(in(LCR), 0x03);
	const uint8_t *data;
	CHECK_EQ(serial_transmit_peek(&serial, &data), 0); /* the divisor was not transmitted */
	out(SCR, 0x5a);
	CHECK_EQ(in(SCR), 0x5a);
	out(LSR, 0xff);
	out(MSR, 0xff);
	CHECK_EQ(in(LSR), 0x60);
	CHECK_EQ(in(MSR), 0xb0);
}

/* serial8250_do_startup(): enabling the interrupt with an empty transmitter raises it, and again
 * after it was disabled; else Linux polls with a timer (UART_BUG_THRE). */
static void test_transmit_interrupt(void)
{
	set_up();
	out(IER, 2);
	CHECK_EQ(irqs, 1);
	CHECK_EQ(in(IIR), 0x02);
	CHECK_EQ(in(IIR), 0x01); /* reading acknowledged it */
	out(IER, 0);
	out(IER, 2);
	CHECK_EQ(irqs, 2);
	CHECK_EQ(in(IIR), 0x02);
	out(IER, 2); /* was on already: nothing new */
	CHECK_EQ(irqs, 2);
	CHECK_EQ(in(IIR), 0x01);
	out(DATA, 'a'); /* taken at once: the holding register is empty again */
	CHECK_EQ(irqs, 3);
	CHECK_EQ(in(IIR), 0x02);
	out(IER, 0);
	out(DATA, 'b');
	CHECK_EQ(irqs, 3);
	CHECK_EQ(in(IIR), 0x01);
}

static void test_receive(void)
{
	set_up();
	CHECK_EQ(serial_receive_room(&serial), 0); /* nobody listens: nothing may get lost */
	out(FCR, 0x07);
	CHECK_EQ(serial_receive_room(&serial), 0);
	wakes = 0;
	serial_transmit_peek(&serial, &(const uint8_t *){ NULL }); /* the console goes to sleep */
	out(IER, 1);
	CHECK_EQ(wakes, 1); /* there may be input that waited for this */
	serial_transmit_peek(&serial, &(const uint8_t *){ NULL });
	CHECK_EQ(serial_receive_room(&serial), 16);
	type("hello");
	CHECK_EQ(irqs, 1);
	CHECK_EQ(serial_receive_room(&serial), 0); /* until the guest has taken all of it */
	CHECK_EQ(in(IIR), 0xc4);
	CHECK_EQ(in(IIR), 0xc4); /* only reading the data acknowledges it */
	for (unsigned i = 0; i < 5; i++) {
		CHECK_EQ(in(LSR), 0x61);
		CHECK_EQ(wakes, 1);
		CHECK_EQ(in(DATA), "hello"[i]);
	}
	CHECK_EQ(in(LSR), 0x60);
	CHECK_EQ(in(IIR), 0xc1);
	CHECK_EQ(wakes, 2);
	CHECK_EQ(in(DATA), 0);
	type("0123456789abcdef");
	for (unsigned i = 0; i < 16; i++)
		CHECK_EQ(in(DATA), "0123456789abcdef"[i]);
	CHECK_EQ(in(LSR), 0x60);
}

/* Receive comes before transmit (PC16550D, table of interrupt priorities). */
static void test_priorities(void)
{
	set_up();
	out(IER, 3);
	type("x");
	CHECK_EQ(in(IIR), 0x04);
	CHECK_EQ(in(DATA), 'x');
	CHECK_EQ(in(IIR), 0x02);
	CHECK_EQ(in(IIR), 0x01);
}

static void test_clearing_the_fifo(void)
{
	set_up();
	out(IER, 1);
	type("abc");
	out(FCR, 0x01);
	CHECK_EQ(in(LSR), 0x61);
	out(FCR, 0x03);
	CHECK_EQ(in(LSR), 0x60);
	CHECK_EQ(in(IIR), 0xc1);
	CHECK_EQ(serial_receive_room(&serial), 16);
	type("d");
	CHECK_EQ(in(DATA), 'd');
}

/* The modem's ring indicator: for a driver that wants modem status interrupts, and once. */
static void test_ring(void)
{
	set_up();
	CHECK(!serial_ring(&serial));
	CHECK_EQ(irqs, 0);
	CHECK_EQ(in(MSR), 0xb0);
	out(IER, 0x08);
	CHECK(serial_ring(&serial));
	CHECK_EQ(irqs, 1);
	CHECK_EQ(in(IIR), 0x00);
	CHECK_EQ(in(IIR), 0x00); /* only reading MSR acknowledges it */
	CHECK_EQ(in(MSR), 0xb4);
	CHECK_EQ(in(IIR), 0x01);
	CHECK_EQ(in(MSR), 0xb0);
	/* Behind all others; and no edge is lost when it is enabled again. */
	CHECK(serial_ring(&serial));
	out(IER, 0x09);
	serial_receive(&serial, (const uint8_t *)"a", 1);
	CHECK_EQ(in(IIR), 0x04);
	CHECK_EQ(in(DATA), 'a');
	CHECK_EQ(in(IIR), 0x00);
	out(IER, 0);
	CHECK_EQ(in(IIR), 0x01);
	irqs = 0;
	out(IER, 0x08);
	CHECK_EQ(irqs, 1);
	/* In loop-back mode the inputs are its own outputs. */
	out(MCR, 0x10);
	CHECK_EQ(in(MSR), 0);
	out(MCR, 0);
	CHECK_EQ(in(MSR), 0xb4);
}

static void test_loop_back(void)
{
	const uint8_t *data;

	set_up();
	out(IER, 1);
	out(MCR, 0x10);
	CHECK_EQ(serial_receive_room(&serial), 0);
	for (unsigned i = 0; i < 40; i++)
		out(DATA, (uint8_t)('a' + i));
	CHECK_EQ(serial_transmit_peek(&serial, &data), 0);
	for (unsigned i = 0; i < SERIAL_RX_BYTES; i++)
		CHECK_EQ(in(DATA), 'a' + i);
	CHECK_EQ(in(LSR), 0x60);
	CHECK(irqs > 0);
}

/* Class 1: every register, offset, width and direction. Wide accesses touch nothing. */
static void test_class_1_register_bounds_every_access(void)
{
	for (unsigned reg = 0; reg < 8; reg++)
		for (unsigned length = 2; length <= 8; length *= 2) {
			set_up();
			uint64_t ones = length == 8 ? UINT64_MAX : ((uint64_t)1 << 8 * length) - 1;
			CHECK_EQ(access_wide(reg, length, false, 0), ones);
			access_wide(reg, length, true, UINT64_MAX);
			CHECK_EQ(in(LCR) | in(IER) | in(SCR) | in(MCR), 0);
			CHECK_EQ(in(LSR), 0x60);
		}
	set_up();
	uint64_t state = 3;
	const uint8_t *data;
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t r = check_random(&state);
		access_wide(r & 7, 1, r & 8, r >> 8);
		unsigned n = serial_transmit_peek(&serial, &data);
		CHECK(n <= SERIAL_TX_BYTES && data + n <= serial.tx + SERIAL_TX_BYTES);
		serial_transmitted(&serial, n);
		CHECK(serial.rx_count <= SERIAL_RX_BYTES);
	}
}

static void test_transmit_buffer(void)
{
	const uint8_t *data;

	set_up();
	for (unsigned i = 0; i < SERIAL_TX_BYTES; i++) {
		CHECK_EQ(in(LSR), 0x60);
		out(DATA, (uint8_t)(i * 7 | 1)); /* no end of a line */
	}
	CHECK_EQ(wakes, 1); /* one is enough until the console has looked */
	CHECK_EQ(in(LSR), 0x00);
	out(IER, 2);
	CHECK_EQ(irqs, 0); /* not empty: no such interrupt now */
	CHECK_EQ(serial_transmit_peek(&serial, &data), SERIAL_TX_BYTES);
	for (unsigned i = 0; i < SERIAL_TX_BYTES; i++)
		CHECK_EQ(data[i], (uint8_t)(i * 7 | 1));
	serial_transmitted(&serial, 100);
	CHECK_EQ(irqs, 1); /* room again: the driver goes on */
	CHECK_EQ(in(IIR), 0x02);
	CHECK_EQ(in(LSR), 0x60);
	CHECK_EQ(serial_transmit_peek(&serial, &data), SERIAL_TX_BYTES - 100);
	out(DATA, 'z');
	CHECK_EQ(wakes, 2);
	/* The other end of the ring comes in a second piece. */
	serial_transmitted(&serial, SERIAL_TX_BYTES - 100);
	CHECK_EQ(serial_transmit_peek(&serial, &data), 1);
	CHECK_EQ(*data, 'z');
	out(DATA, 'a');
	CHECK_EQ(wakes, 3);
	out(DATA, 'b');
	CHECK_EQ(wakes, 3);
	out(DATA, '\n');
	CHECK_EQ(wakes, 4); /* the console may be waiting for it */
	serial_transmit_peek(&serial, &data);
	serial_expect_line(&serial); /* it does */
	out(DATA, 'c');
	CHECK_EQ(wakes, 4);
	out(DATA, '\n');
	CHECK_EQ(wakes, 5);
	serial_transmit_peek(&serial, &data);
	out(DATA, 'd');
	CHECK_EQ(wakes, 6);
}

static void *print_stream(void *unused)
{
	uint64_t state = 42;

	(void)unused;
	for (unsigned i = 0; i < STREAM_BYTES; i++)
		out(DATA, (uint8_t)check_random(&state));
	return NULL;
}

/* A guest that prints faster than the host takes: it waits, and nothing is lost or reordered. */
static void test_nothing_is_lost(void)
{
	pthread_t guest;
	uint64_t expected = 42, amounts = 5;
	unsigned taken = 0;

	set_up();
	CHECK(pthread_create(&guest, NULL, print_stream, NULL) == 0);
	while (taken < STREAM_BYTES) {
		const uint8_t *data;
		unsigned length = serial_transmit_peek(&serial, &data);
		/* A short write, as a pipe may give one. */
		unsigned n = length ? 1 + (unsigned)(check_random(&amounts) % length) : 0;
		for (unsigned i = 0; i < n; i++)
			CHECK_EQ(data[i], (uint8_t)check_random(&expected));
		serial_transmitted(&serial, n);
		taken += n;
	}
	pthread_join(guest, NULL);
	CHECK_EQ(serial_transmit_peek(&serial, &(const uint8_t *){ NULL }), 0);
}

static atomic_bool printed;

static void *print_too_much(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i <= SERIAL_TX_BYTES; i++)
		out(DATA, 'x');
	atomic_store(&printed, true);
	return NULL;
}

/* The vCPU waits while nobody takes its bytes; serial_stop() lets it go, for good. */
static void test_stop_frees_the_guest(void)
{
	pthread_t guest;

	set_up();
	CHECK(pthread_create(&guest, NULL, print_too_much, NULL) == 0);
	while (in(LSR) != 0)
		usleep(1000);
	usleep(50000);
	CHECK(!atomic_load(&printed));
	serial_stop(&serial);
	pthread_join(guest, NULL);
	CHECK(atomic_load(&printed));
	out(DATA, 'y'); /* dropped, without waiting */
	CHECK_EQ(serial_transmit_peek(&serial, &(const uint8_t *){ NULL }), SERIAL_TX_BYTES);
}

int main(void)
{
	RUN(test_at_power_on);
	RUN(test_linux_finds_a_16550a);
	RUN(test_modem_lines_loop_back);
	RUN(test_divisor_latch);
	RUN(test_transmit_interrupt);
	RUN(test_receive);
	RUN(test_priorities);
	RUN(test_clearing_the_fifo);
	RUN(test_ring);
	RUN(test_loop_back);
	RUN(test_class_1_register_bounds_every_access);
	RUN(test_transmit_buffer);
	RUN(test_nothing_is_lost);
	RUN(test_stop_frees_the_guest);
	return 0;
}
