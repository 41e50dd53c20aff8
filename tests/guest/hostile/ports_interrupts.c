/* SPDX-License-Identifier: MIT */
/* Interrupt controllers and timers, which are KVM's. */
#include "hostile/hostile.h"
#include "rt/irq.h"

#define FLOOD (300u * effort)
#define PINS  24u

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
