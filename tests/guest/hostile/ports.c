/* SPDX-License-Identifier: MIT */
/* The small ports, doorbells, and addresses where nothing is. */
#include "hostile/hostile.h"

#define RESET_PORT   0x64u
#define KEYBOARD     0x60u
#define PULSE_RESET  0xfeu
#define CMOS         0x70u
#define PCI_ADDRESS  0xcf8u
#define FIRST_WINDOW 0xc0001000u
#define ACPI_OFFSET  0x100000u
#define HOLE         0xc8000000u
#define FLOOD        (300u * effort)

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
		if (effort > 1 && port < 0xfffc) { /* no further than the last one */
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
	static const uint16_t ports[] = { SERIAL_PORT + 7, 0x9000, RESET_PORT, CMOS + 1 };

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
