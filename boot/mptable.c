/* SPDX-License-Identifier: MIT */
#include "boot/mptable.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "boot/checksum.h"
#include "mem/layout.h"

#define MP_SPEC_REVISION 4 /* 1.4 */
#define LAPIC_VERSION    0x14
#define IOAPIC_VERSION   0x11
#define ISA_BUS_ID       0
#define ALL_LOCAL_APICS  0xff
#define CPU_ENABLED      0x01
#define CPU_BOOTSTRAP    0x02
#define IOAPIC_ENABLED   0x01
#define MAX_TABLE_CPUS   254

enum entry_type {
	ENTRY_CPU,
	ENTRY_BUS,
	ENTRY_IOAPIC,
	ENTRY_IO_INTERRUPT,
	ENTRY_LOCAL_INTERRUPT
};
enum interrupt_type {
	INTERRUPT_INT,
	INTERRUPT_NMI,
	INTERRUPT_SMI,
	INTERRUPT_EXTINT
};

struct mp_floating {
	char signature[4];
	uint32_t table_gpa;
	uint8_t length; /* in 16-byte units */
	uint8_t revision;
	uint8_t checksum;
	uint8_t features[5];
};

struct mp_header {
	char signature[4];
	uint16_t length; /* the header and its entries */
	uint8_t revision;
	uint8_t checksum;
	char oem_id[8];
	char product_id[12];
	uint32_t oem_table_gpa;
	uint16_t oem_table_bytes;
	uint16_t entry_count;
	uint32_t lapic_gpa;
	uint16_t extended_length;
	uint8_t extended_checksum;
	uint8_t reserved;
};

struct mp_cpu {
	uint8_t type;
	uint8_t apic_id;
	uint8_t apic_version;
	uint8_t flags;
	uint32_t signature;
	uint32_t features;
	uint32_t reserved[2];
};

struct mp_bus {
	uint8_t type;
	uint8_t bus_id;
	char name[6];
};

struct mp_ioapic {
	uint8_t type;
	uint8_t apic_id;
	uint8_t apic_version;
	uint8_t flags;
	uint32_t gpa;
};

struct mp_interrupt {
	uint8_t type;
	uint8_t interrupt_type;
	uint16_t flags; /* 0: polarity and trigger conform to the bus: ISA, rising edge */
	uint8_t source_bus;
	uint8_t source_irq;
	uint8_t target_apic;
	uint8_t target_pin;
};

static_assert(sizeof(struct mp_floating) == 16, "MP 1.4, 4.1");
static_assert(sizeof(struct mp_header) == 44, "MP 1.4, 4.2");
static_assert(sizeof(struct mp_cpu) == 20, "MP 1.4, 4.3.1");
static_assert(sizeof(struct mp_bus) == 8, "MP 1.4, 4.3.2");
static_assert(sizeof(struct mp_ioapic) == 8, "MP 1.4, 4.3.3");
static_assert(sizeof(struct mp_interrupt) == 8, "MP 1.4, 4.3.4");

#define TABLE_MAX_BYTES                                                                            \
	(sizeof(struct mp_floating) + sizeof(struct mp_header) +                                   \
	 MAX_TABLE_CPUS * sizeof(struct mp_cpu) + sizeof(struct mp_bus) +                          \
	 sizeof(struct mp_ioapic) + (LAYOUT_IOAPIC_PINS + 2) * sizeof(struct mp_interrupt))
static_assert(TABLE_MAX_BYTES <= LAYOUT_MPTABLE_MAX_BYTES, "the table fits its place");

struct table_writer {
	uint8_t *base;
	size_t length;
	uint16_t entries;
};

static void append(struct table_writer *writer, const void *entry, size_t bytes)
{
	memcpy(writer->base + writer->length, entry, bytes);
	writer->length += bytes;
	writer->entries++;
}

static void add_cpus(struct table_writer *writer, unsigned n_cpus)
{
	for (unsigned i = 0; i < n_cpus; i++) {
		struct mp_cpu cpu = {
			.type = ENTRY_CPU,
			.apic_id = (uint8_t)i,
			.apic_version = LAPIC_VERSION,
			.flags = i == 0 ? CPU_ENABLED | CPU_BOOTSTRAP : CPU_ENABLED,
			.signature = 0x600,
			.features = 0x201, /* FPU and APIC; CPUID tells the rest */
		};
		append(writer, &cpu, sizeof(cpu));
	}
}

static void add_interrupts(struct table_writer *writer, uint8_t ioapic_id)
{
	struct mp_interrupt local[] = {
		{ ENTRY_LOCAL_INTERRUPT, INTERRUPT_EXTINT, 0, ISA_BUS_ID, 0, ALL_LOCAL_APICS, 0 },
		{ ENTRY_LOCAL_INTERRUPT, INTERRUPT_NMI, 0, ISA_BUS_ID, 0, ALL_LOCAL_APICS, 1 },
	};

	for (unsigned gsi = 0; gsi < LAYOUT_IOAPIC_PINS; gsi++) {
		if (gsi == LAYOUT_TIMER_IOAPIC_PIN)
			continue; /* the PIC's cascade has no source of its own */
		struct mp_interrupt interrupt = {
			.type = ENTRY_IO_INTERRUPT,
			.interrupt_type = INTERRUPT_INT,
			.source_bus = ISA_BUS_ID,
			.source_irq = (uint8_t)gsi,
			.target_apic = ioapic_id,
			.target_pin =
				(uint8_t)(gsi == LAYOUT_TIMER_GSI ? LAYOUT_TIMER_IOAPIC_PIN : gsi),
		};
		append(writer, &interrupt, sizeof(interrupt));
	}
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
		append(writer, &local[i], sizeof(local[i]));
}

bool mptable_write(const struct guest_memory *memory, unsigned n_cpus)
{
	uint8_t bytes[TABLE_MAX_BYTES] = { 0 };
	struct table_writer writer = { bytes + sizeof(struct mp_floating), 0, 0 };
	struct mp_bus bus = { .type = ENTRY_BUS, .bus_id = ISA_BUS_ID, .name = "ISA   " };
	struct mp_ioapic ioapic = { ENTRY_IOAPIC, (uint8_t)n_cpus, IOAPIC_VERSION, IOAPIC_ENABLED,
				    LAYOUT_IOAPIC_GPA };
	struct mp_floating floating = {
		.signature = "_MP_",
		.table_gpa = LAYOUT_MPTABLE_GPA + sizeof(floating),
		.length = 1,
		.revision = MP_SPEC_REVISION,
	};
	struct mp_header header = {
		.signature = "PCMP",
		.revision = MP_SPEC_REVISION,
		.oem_id = "VMM     ",
		.product_id = "MICROVM     ",
		.lapic_gpa = LAYOUT_LAPIC_GPA,
	};

	writer.length = sizeof(header);
	add_cpus(&writer, n_cpus);
	append(&writer, &bus, sizeof(bus));
	append(&writer, &ioapic, sizeof(ioapic));
	add_interrupts(&writer, ioapic.apic_id);
	header.length = (uint16_t)writer.length;
	header.entry_count = writer.entries;
	memcpy(writer.base, &header, sizeof(header));
	header.checksum = checksum(writer.base, writer.length);
	memcpy(writer.base, &header, sizeof(header));
	floating.checksum = checksum(&floating, sizeof(floating));
	memcpy(bytes, &floating, sizeof(floating));
	return guest_memory_write(memory, LAYOUT_MPTABLE_GPA, bytes,
				  sizeof(floating) + writer.length);
}
