/* SPDX-License-Identifier: MIT */
/* Interrupts: the IDT and the PC's interrupt controllers and timers. */
#ifndef TESTS_GUEST_RT_IRQ_H
#define TESTS_GUEST_RT_IRQ_H

#include <stdint.h>

#define IRQ_PIC_FIRST_VECTOR 0x20
#define PIT_HZ               1193182

#define LAPIC_GPA           0xfee00000u
#define LAPIC_EOI           0x0b0
#define LAPIC_SPURIOUS      0x0f0
#define LAPIC_ICR_LOW       0x300
#define LAPIC_ICR_HIGH      0x310
#define LAPIC_LVT_TIMER     0x320
#define LAPIC_LVT_LINT0     0x350
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_DIVIDE  0x3e0
#define LVT_MASKED          0x10000u
#define LVT_PERIODIC        0x20000u

/* In a guest: its CPL 3 runs with interrupts on, so the controllers must be set up before the devices. */
#define GUEST_WITH_INTERRUPTS                                                                      \
	extern const uint64_t guest_user_rflags;                                                   \
	const uint64_t guest_user_rflags = 0x3202

/* Called at CPL 0 with interrupts off; must end the interrupt itself. */
typedef void irq_handler(void);

/* Points every gate at its stub. An exception prints its vector and place, and resets. To be called
 * before the first interrupt, from CPL 3, where it is fast. */
void irq_init(void);
void irq_set_handler(uint8_t vector, irq_handler *handler);

/* Both 8259s, vectors 0x20 to 0x2f, with the lines in `mask` masked. */
void pic_init(uint16_t mask);
void pic_end_of_interrupt(uint8_t line);

void lapic_enable(void);
void lapic_write(uint32_t reg, uint32_t value);
uint32_t lapic_read(uint32_t reg);

/* INIT, settle_tsc ticks, and a STARTUP, by which the processor begins in real mode at gpa, a page below 1 MiB. Then another one. */
void lapic_start_cpu(uint32_t apic_id, uint32_t gpa, uint64_t settle_tsc);
void lapic_send_startup(uint32_t apic_id, uint32_t gpa);

/* Pin `pin` of the IOAPIC gives `vector` on CPU 0, edge-triggered. */
void ioapic_route(uint8_t pin, uint8_t vector);
void ioapic_mask(uint8_t pin);

/* Channel 0 in mode 2: an edge every `count` ticks of PIT_HZ. */
void pit_start(uint16_t count);

#endif
