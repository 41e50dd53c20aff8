/* SPDX-License-Identifier: MIT */
/* Counts for ever, a line at a time, and tells what it is asked: by an NMI; by the power button and the serial port's ring
 * indicator where the words `button` and `ring` have it listen. It ends when it is asked to, unless it is `deaf`. With
 * `cpus=` the other processors spin; with `counts=` it ends then. */
#include "rt/irq.h"
#include "rt/rt.h"

#define TICK_TSC       30000000u /* 10 ms or so */
#define SETTLE_TSC     30000000u
#define VECTOR_NMI     2
#define VECTOR_BUTTON  0x40
#define VECTOR_SERIAL  0x41
#define BUTTON_PIN     1
#define SERIAL_PIN     4
#define SERIAL_IER     (SERIAL_PORT + 1)
#define SERIAL_IIR     (SERIAL_PORT + 2)
#define SERIAL_MSR     (SERIAL_PORT + 6)
#define IER_MODEM      0x08
#define MSR_RUNG       0x04
#define TRAMPOLINE_GPA 0x8000u

GUEST_WITH_INTERRUPTS;

extern const uint8_t control_trampoline[], control_trampoline_end[];

__asm__(".pushsection .text\n"
	".code16\n"
	"control_trampoline:\n"
	"	cli\n"
	"1:	pause\n"
	"	jmp 1b\n"
	"control_trampoline_end:\n"
	".code64\n"
	".popsection\n");

static volatile bool has_nmi, has_button, has_ring;

static void nmi(void)
{
	has_nmi = true;
}

static void button(void)
{
	has_button = true;
	lapic_write(LAPIC_EOI, 0);
}

static void serial(void)
{
	uint8_t iir = inb(SERIAL_IIR) & 0xf;

	has_ring |= iir == 0 && (inb(SERIAL_MSR) & MSR_RUNG) && (inb(SERIAL_IIR) & 1);
	lapic_write(LAPIC_EOI, 0);
}

static void start_cpu(uint32_t apic_id)
{
	lapic_start_cpu(apic_id, TRAMPOLINE_GPA, SETTLE_TSC);
}

/* Whether to end for that. */
static bool told(const char *name, volatile bool *flag, bool deaf)
{
	if (!*flag)
		return false;
	*flag = false;
	print(name);
	return !deaf;
}

void guest_main(const uint8_t *zero_page)
{
	bool deaf = cmdline_value(zero_page, "deaf") != NULL;
	uint64_t counts = cmdline_number(zero_page, "counts=", UINT64_MAX);
	uint32_t cpus = (uint32_t)cmdline_number(zero_page, "cpus=", 1);

	irq_init();
	irq_set_handler(VECTOR_NMI, nmi);
	irq_set_handler(VECTOR_BUTTON, button);
	irq_set_handler(VECTOR_SERIAL, serial);
	pic_init(0xffff);
	lapic_enable();
	if (cmdline_value(zero_page, "button") != NULL)
		ioapic_route(BUTTON_PIN, VECTOR_BUTTON);
	if (cmdline_value(zero_page, "ring") != NULL) {
		ioapic_route(SERIAL_PIN, VECTOR_SERIAL);
		outb(SERIAL_IER, IER_MODEM);
	}
	memcpy((void *)TRAMPOLINE_GPA, control_trampoline,
	       (size_t)(control_trampoline_end - control_trampoline));
	for (uint32_t id = 1; id < cpus; id++)
		start_cpu(id);
	for (uint64_t count = 0; count < counts; count++) {
		wait_tsc(TICK_TSC);
		print_hex(count);
		print("\n");
		told("nmi\n", &has_nmi, true);
		if (told("button\n", &has_button, deaf) || told("ring\n", &has_ring, deaf))
			return;
	}
}
