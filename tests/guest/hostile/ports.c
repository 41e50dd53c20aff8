/* SPDX-License-Identifier: MIT */
/* What is no virtio device: the UART, the small ports, doorbells, interrupts, and addresses where nothing is. */
#include "hostile/hostile.h"
#include "rt/irq.h"

#define UART         SERIAL_PORT
#define IER          (UART + 1)
#define FCR          (UART + 2)
#define LCR          (UART + 3)
#define MCR          (UART + 4)
#define LSR          (UART + 5)
#define LCR_DLAB     0x80u
#define LCR_8N1      0x03u
#define MCR_LOOP     0x10u
#define REGISTERS    8u
#define RESET_PORT   0x64u
#define KEYBOARD     0x60u
#define PULSE_RESET  0xfeu
#define CMOS         0x70u
#define PCI_ADDRESS  0xcf8u
#define FIRST_WINDOW 0xc0001000u
#define ACPI_OFFSET  0x100000u
#define HOLE         0xc8000000u
#define FLOOD        (300u * effort)

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

static void every_other_command(const struct target *target)
{
	(void)target;
	for (unsigned command = 0; command < 256; command++)
		if (command != PULSE_RESET) {
			outb(RESET_PORT, (uint8_t)command);
			(void)inb(RESET_PORT);
			(void)inb(KEYBOARD);
		}
}

static void keyboard_data(const struct target *target)
{
	(void)target;
	for (unsigned value = 0; value < 256; value += 3)
		outb(KEYBOARD, (uint8_t)value);
}

/* No byte of these is the command. */
static void wide_commands(const struct target *target)
{
	(void)target;
	for (uint16_t port = RESET_PORT - 3; port <= RESET_PORT; port++) {
		outw(port, 0x5555);
		outl(port, 0x55555555);
		(void)inw(port);
		(void)inl(port);
	}
}

static void status_flood(const struct target *target)
{
	(void)target;
	for (unsigned i = 0; i < FLOOD; i++)
		(void)inb(RESET_PORT);
}

/* cases: reset-port */
static const struct hostile_case reset_cases[] = {
	{ "every-other-command", 1, LIVES, 0, every_other_command },
	{ "keyboard-data", 1, LIVES, 0, keyboard_data },
	{ "wide-commands", 1, LIVES, 0, wide_commands },
	{ "status-flood", 9, LIVES, 0, status_flood },
};
HOSTILE_TABLE(reset_table, reset_cases, "reset-port");

/* All windows, those of ACPI too, and one behind the last. */
static void rung_everywhere(const struct target *target)
{
	(void)target;
	for (uint64_t window = 0; window < 6; window++)
		for (uint32_t value = 0; value < 5; value++) {
			mmio_write32(FIRST_WINDOW + window * 0x1000 + REG_QUEUE_NOTIFY, value);
			mmio_write32(FIRST_WINDOW + ACPI_OFFSET + window * 0x1000 +
					     REG_QUEUE_NOTIFY,
				     value);
		}
}

static void rung_in_other_widths(const struct target *target)
{
	uint64_t at = target->device->base + REG_QUEUE_NOTIFY;

	for (unsigned i = 0; i < 32; i++) {
		mmio_write8(at, 0);
		mmio_write16(at, 0);
		mmio_write64(at, 0);
		mmio_write32(at - 2, 0);
		mmio_write32(at + 2, 0);
	}
}

static void rung_without_end(const struct target *target)
{
	for (unsigned i = 0; i < 20 * FLOOD; i++)
		kick(target);
}

static void rung_during_resets(const struct target *target)
{
	for (unsigned i = 0; i < 30 * effort; i++) {
		good_chain(target);
		kick(target);
		virtio_write(target->device, REG_STATUS, 0);
		kick(target);
		if (!target->start(0))
			fails("it does not start");
		kick(target);
	}
}

static void other_window_meanwhile(const struct target *target)
{
	uint64_t other = target->device->base + ACPI_OFFSET;

	for (unsigned i = 0; i < 100; i++) {
		mmio_write32(other + REG_STATUS, i & 0xf);
		mmio_write32(other + REG_QUEUE_SEL, i);
		mmio_write32(other + REG_QUEUE_READY, i & 1);
		mmio_write32(other + REG_QUEUE_NOTIFY, 0);
		(void)mmio_read32(other + REG_DEVICE_ID);
	}
	if (virtio_read(target->device, REG_QUEUE_READY) != 1)
		fails("the other window has changed the device");
}

/* cases: doorbell */
static const struct hostile_case doorbell_cases[] = {
	{ "rung-everywhere", 2, LIVES, 0, rung_everywhere },
	{ "rung-in-other-widths", 2, LIVES, 0, rung_in_other_widths },
	{ "rung-without-end", 9, LIVES, 0, rung_without_end },
	{ "rung-during-resets", 17, LIVES, 0, rung_during_resets },
	{ "other-window-meanwhile", 4, LIVES, 0, other_window_meanwhile },
};
HOSTILE_TABLE(doorbell_table, doorbell_cases, "doorbell");

/* Those of the machine's timer, controllers and ends are others' cases. */
static bool is_ours(unsigned port)
{
	return port < 0x20 || (port >= 0x80 && port < 0xa0) || (port >= 0x100 && port < 0x3f8) ||
	       (port >= 0x1000);
}

static void every_port_read(const struct target *target)
{
	unsigned step = effort > 1 ? 1 : 97;

	(void)target;
	for (unsigned port = 0; port < 0x10000; port += port < 0x100 ? 1 : step) {
		(void)inb((uint16_t)port);
		if (effort > 1) {
			(void)inw((uint16_t)port);
			(void)inl((uint16_t)port);
		}
	}
}

/* Not where something ends the machine: below 0x1000 there are such. */
static void unclaimed_ports_written(const struct target *target)
{
	(void)target;
	for (unsigned port = 0; port < 0x10000; port += port < 0x20 ? 1 : 61)
		if (port >= 0x1000 && is_ours(port)) {
			outb((uint16_t)port, 0xff);
			outw((uint16_t)port, 0xffff);
			outl((uint16_t)port, UINT32_MAX);
		}
}

/* A processor lets nothing go beyond it. */
static void last_port(const struct target *target)
{
	(void)target;
	(void)inl(0xfffc);
	(void)inw(0xfffe);
	(void)inb(0xffff);
	outl(0xfffc, UINT32_MAX);
	outw(0xfffe, 0xffff);
	outb(0xffff, 0xff);
}

static void strings_over_ports(const struct target *target)
{
	static const uint16_t ports[] = { UART + 7, 0x9000, RESET_PORT, CMOS + 1 };

	(void)target;
	for (unsigned i = 0; i < 4; i++) {
		void *to = spare;
		size_t count = 5000;
		__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(ports[i]) : "memory");
	}
	const void *from = spare;
	size_t count = 5000;
	__asm__ volatile("rep outsl" : "+S"(from), "+c"(count) : "d"((uint16_t)0x9000) : "memory");
}

static void clock_registers(const struct target *target)
{
	(void)target;
	for (unsigned at = 0; at < 256; at++) {
		outb(CMOS, (uint8_t)at);
		outb(CMOS + 1, (uint8_t)at);
		(void)inb(CMOS + 1);
	}
}

static void pci_configuration(const struct target *target)
{
	(void)target;
	for (unsigned i = 0; i < 64; i++) {
		outl(PCI_ADDRESS, 0x80000000u | i << 11);
		if (inl(PCI_ADDRESS + 4) != UINT32_MAX)
			fails("there is a PCI device");
	}
}

static void holes_of_every_width(const struct target *target)
{
	static const uint64_t holes[] = { HOLE,       HOLE + 1,   0xfebffff8,
					  0xc0000000, 0xfffffff8, RAM_BYTES + 0x1000 };

	(void)target;
	for (unsigned i = 0; i < sizeof(holes) / sizeof(holes[0]); i++) {
		mmio_write8(holes[i], 0xff);
		mmio_write16(holes[i], 0xffff);
		mmio_write32(holes[i], UINT32_MAX);
		mmio_write64(holes[i], UINT64_MAX);
		(void)mmio_read8(holes[i]);
		(void)mmio_read16(holes[i]);
		(void)mmio_read32(holes[i]);
		(void)mmio_read64(holes[i]);
	}
}

static void across_two_windows(const struct target *target)
{
	(void)target;
	for (uint64_t window = 0; window < 5; window++)
		for (unsigned back = 1; back < 8; back++) {
			uint64_t at = FIRST_WINDOW + window * 0x1000 - back;
			mmio_write64(at, UINT64_MAX);
			(void)mmio_read64(at);
			mmio_write32(at, UINT32_MAX);
			(void)mmio_read32(at);
			mmio_write16(at, 0xffff);
			(void)mmio_read16(at);
		}
}

static void flood_of_exits(const struct target *target)
{
	(void)target;
	for (unsigned i = 0; i < 3 * FLOOD; i++) {
		(void)inb(0x9000);
		(void)mmio_read32(HOLE);
	}
}

/* cases: bus */
static const struct hostile_case bus_cases[] = {
	{ "every-port-read", 1, LIVES, 0, every_port_read },
	{ "unclaimed-ports-written", 1, LIVES, 0, unclaimed_ports_written },
	{ "last-port", 3, LIVES, 0, last_port },
	{ "strings-over-ports", 1, LIVES, 0, strings_over_ports },
	{ "clock-registers", 1, LIVES, 0, clock_registers },
	{ "pci-configuration", 1, LIVES, 0, pci_configuration },
	{ "holes-of-every-width", 3, LIVES, 0, holes_of_every_width },
	{ "across-two-windows", 3, LIVES, 0, across_two_windows },
	{ "flood-of-exits", 15, LIVES, 0, flood_of_exits },
};
HOSTILE_TABLE(bus_table, bus_cases, "bus");

#define PINS 24u

static void pins_to_every_vector(const struct target *target)
{
	(void)target;
	for (unsigned vector = 16; vector < 256; vector += 7)
		for (uint8_t pin = 0; pin < PINS; pin++)
			ioapic_route(pin, (uint8_t)vector);
	for (uint8_t pin = 0; pin < PINS; pin++)
		ioapic_mask(pin);
}

/* Level-triggered, and never ended: what a device raises next finds the pin busy. */
static void levels_without_an_end(const struct target *target)
{
	(void)target;
	for (uint8_t pin = 0; pin < PINS; pin++) {
		mmio_write32(0xfec00000, 0x10u + pin * 2u);
		mmio_write32(0xfec00010, 0x8000u | 0x50);
	}
	lapic_enable();
	for (unsigned i = 0; i < 50; i++) {
		target->queue->avail.flags = 0;
		good_chain(target);
		kick(target);
	}
	for (uint8_t pin = 0; pin < PINS; pin++)
		ioapic_mask(pin);
}

static void interrupts_to_oneself(const struct target *target)
{
	(void)target;
	lapic_enable();
	for (unsigned i = 0; i < FLOOD; i++)
		lapic_write(LAPIC_ICR_LOW, 0x44000u | (0x30 + i % 200));
	for (unsigned i = 0; i < 300; i++)
		lapic_write(LAPIC_EOI, 0);
}

static void interrupts_to_nobody(const struct target *target)
{
	(void)target;
	for (unsigned i = 0; i < 250; i++) {
		lapic_write(LAPIC_ICR_HIGH, (i + 100) << 24);
		lapic_write(LAPIC_ICR_LOW, 0x4030);
	}
	lapic_write(LAPIC_ICR_HIGH, 0);
}

static void timer_of_no_length(const struct target *target)
{
	(void)target;
	lapic_enable();
	lapic_write(LAPIC_TIMER_DIVIDE, 0xb);
	lapic_write(LAPIC_LVT_TIMER, LVT_PERIODIC | 0x60);
	for (unsigned i = 0; i < 100; i++)
		lapic_write(LAPIC_TIMER_INITIAL, 1 + i % 3);
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
	lapic_write(LAPIC_TIMER_INITIAL, 0);
}

static void pit_of_no_length(const struct target *target)
{
	(void)target;
	for (uint16_t count = 0; count < 50; count++)
		pit_start(count);
	outb(0x43, 0x30);
}

static void controllers_anew(const struct target *target)
{
	(void)target;
	for (unsigned i = 0; i < 50; i++) {
		pic_init(0);
		pic_end_of_interrupt(15);
	}
	pic_init(0xffff);
}

static void lapic_registers(const struct target *target)
{
	(void)target;
	for (uint32_t reg = 0; reg < 0x400; reg += 0x10) {
		(void)lapic_read(reg);
		if (reg != LAPIC_ICR_LOW && reg != LAPIC_TIMER_INITIAL && reg != 0x20)
			lapic_write(reg, 0x10000);
	}
	lapic_enable();
}

/* cases: interrupts */
static const struct hostile_case interrupt_cases[] = {
	{ "pins-to-every-vector", 15, LIVES, 0, pins_to_every_vector },
	{ "levels-without-an-end", 15, LIVES, 0, levels_without_an_end },
	{ "to-oneself", 15, LIVES, 0, interrupts_to_oneself },
	{ "to-nobody", 15, LIVES, 0, interrupts_to_nobody },
	{ "timer-of-no-length", 15, LIVES, 0, timer_of_no_length },
	{ "pit-of-no-length", 15, LIVES, 0, pit_of_no_length },
	{ "controllers-anew", 15, LIVES, 0, controllers_anew },
	{ "lapic-registers", 1, LIVES, 0, lapic_registers },
};
HOSTILE_TABLE(interrupt_table, interrupt_cases, "interrupts");
