/* SPDX-License-Identifier: MIT */
#include "rt/irq.h"

#include "rt/rt.h"
#include "rt/segments.h"

#define ICR_INIT         0x4500u
#define ICR_STARTUP      0x4600u
#define STUB_BYTES       16
#define GATE_INTERRUPT   0x8e00u
#define FIRST_EXTERNAL   32
#define PIC1_COMMAND     0x20
#define PIC1_DATA        0x21
#define PIC2_COMMAND     0xa0
#define PIC2_DATA        0xa1
#define PIC_EOI          0x20
#define IOAPIC_GPA       0xfec00000u
#define IOAPIC_SELECT    (IOAPIC_GPA + 0x00)
#define IOAPIC_WINDOW    (IOAPIC_GPA + 0x10)
#define IOAPIC_PIN_FIRST 0x10
#define PIT_CHANNEL0     0x40
#define PIT_MODE         0x43

struct gate {
	uint16_t offset_low, selector, type, offset_middle;
	uint32_t offset_high, reserved;
};

struct gate irq_idt[256];
extern const uint8_t irq_stubs[];
void irq_dispatch(uint64_t vector, uint64_t rip);

static irq_handler *handlers[256];

void irq_dispatch(uint64_t vector, uint64_t rip)
{
	if (handlers[vector] != NULL) {
		handlers[vector]();
		return;
	}
	print_number(vector < FIRST_EXTERNAL ? "exception" : "stray interrupt", vector);
	print_number("at", rip);
	guest_reset();
}

void irq_init(void)
{
	for (unsigned i = 0; i < 256; i++) {
		uint64_t stub = (uint64_t)irq_stubs + i * STUB_BYTES;
		irq_idt[i] = (struct gate){
			.offset_low = (uint16_t)stub,
			.selector = SELECTOR_CODE0,
			.type = GATE_INTERRUPT,
			.offset_middle = (uint16_t)(stub >> 16),
		};
	}
}

void irq_set_handler(uint8_t vector, irq_handler *handler)
{
	handlers[vector] = handler;
}

void pic_init(uint16_t mask)
{
	outb(PIC1_COMMAND, 0x11); /* edge-triggered, cascade, ICW4 follows */
	outb(PIC2_COMMAND, 0x11);
	outb(PIC1_DATA, IRQ_PIC_FIRST_VECTOR);
	outb(PIC2_DATA, IRQ_PIC_FIRST_VECTOR + 8);
	outb(PIC1_DATA, 1 << 2); /* the second is on line 2 */
	outb(PIC2_DATA, 2);
	outb(PIC1_DATA, 1); /* 8086 mode */
	outb(PIC2_DATA, 1);
	outb(PIC1_DATA, (uint8_t)mask);
	outb(PIC2_DATA, (uint8_t)(mask >> 8));
}

void pic_end_of_interrupt(uint8_t line)
{
	if (line >= 8)
		outb(PIC2_COMMAND, PIC_EOI);
	outb(PIC1_COMMAND, PIC_EOI);
}

void lapic_write(uint32_t reg, uint32_t value)
{
	mmio_write32(LAPIC_GPA + reg, value);
}

uint32_t lapic_read(uint32_t reg)
{
	return mmio_read32(LAPIC_GPA + reg);
}

void lapic_enable(void)
{
	lapic_write(LAPIC_SPURIOUS, 0x1ff);
}

static void ioapic_write(uint32_t reg, uint32_t value)
{
	mmio_write32(IOAPIC_SELECT, reg);
	mmio_write32(IOAPIC_WINDOW, value);
}

void lapic_send_startup(uint32_t apic_id, uint32_t gpa)
{
	lapic_write(LAPIC_ICR_HIGH, apic_id << 24);
	lapic_write(LAPIC_ICR_LOW, ICR_STARTUP | gpa >> 12);
}

void lapic_start_cpu(uint32_t apic_id, uint32_t gpa, uint64_t settle_tsc)
{
	lapic_write(LAPIC_ICR_HIGH, apic_id << 24);
	lapic_write(LAPIC_ICR_LOW, ICR_INIT);
	wait_tsc(settle_tsc);
	lapic_send_startup(apic_id, gpa);
}

void ioapic_route(uint8_t pin, uint8_t vector)
{
	ioapic_write(IOAPIC_PIN_FIRST + pin * 2u + 1, 0);
	ioapic_write(IOAPIC_PIN_FIRST + pin * 2u, vector);
}

void ioapic_mask(uint8_t pin)
{
	ioapic_write(IOAPIC_PIN_FIRST + pin * 2u, LVT_MASKED);
}

void pit_start(uint16_t count)
{
	outb(PIT_MODE, 0x34);
	outb(PIT_CHANNEL0, (uint8_t)count);
	outb(PIT_CHANNEL0, (uint8_t)(count >> 8));
}
