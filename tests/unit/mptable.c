/* SPDX-License-Identifier: MIT */
/* The MP table, read back the way a kernel does it: bytes and offsets of the specification only. */
#include "boot/mptable.h"

#include "tests/unit/check.h"

#define MEM_BYTES ((uint64_t)2 << 20)

struct found {
	unsigned cpus, bootstrap_cpus, buses, ioapics, io_interrupts, local_interrupts;
	unsigned ioapic_id;
	int pin_of_irq[256]; /* -1: none */
	bool apic_id_taken[256];
};

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t get32(const uint8_t *at)
{
	return get16(at) | (uint32_t)get16(at + 2) << 16;
}

static uint8_t sum(const uint8_t *at, unsigned n)
{
	uint8_t total = 0;

	while (n-- > 0)
		total = (uint8_t)(total + *at++);
	return total;
}

/* Linux looks at every 16th byte of the BIOS area (MP 1.4, 4: "in the BIOS ROM address space"). */
static const uint8_t *find_floating(const struct guest_memory *memory)
{
	for (uint64_t gpa = 0xf0000; gpa < 0x100000; gpa += 16) {
		const uint8_t *at = guest_memory_at(memory, gpa, 16);
		if (memcmp(at, "_MP_", 4) == 0 && sum(at, 16u * at[8]) == 0)
			return at;
	}
	return NULL;
}

static void take_apic_id(struct found *found, uint8_t id)
{
	CHECK(!found->apic_id_taken[id]);
	found->apic_id_taken[id] = true;
}

static unsigned read_cpu(struct found *found, const uint8_t *at)
{
	CHECK(at[3] & 1); /* usable */
	CHECK_EQ(at[1], found->cpus);
	CHECK_EQ(!!(at[3] & 2), found->cpus == 0);
	CHECK(get32(at + 8) & 1u << 9); /* has an APIC */
	take_apic_id(found, at[1]);
	found->cpus++;
	found->bootstrap_cpus += !!(at[3] & 2);
	return 20;
}

/* Returns the entry's length. */
static unsigned read_entry(struct found *found, const uint8_t *at)
{
	switch (at[0]) {
	case 0:
		return read_cpu(found, at);
	case 1:
		CHECK_EQ(at[1], 0);
		CHECK(memcmp(at + 2, "ISA   ", 6) == 0);
		found->buses++;
		return 8;
	case 2:
		CHECK(at[3] & 1);
		CHECK_EQ(get32(at + 4), 0xfec00000);
		take_apic_id(found, at[1]);
		found->ioapic_id = at[1];
		found->ioapics++;
		return 8;
	case 3:
		CHECK_EQ(at[1], 0);
		CHECK_EQ(get16(at + 2), 0);
		CHECK_EQ(at[4], 0);
		CHECK_EQ(at[6], found->ioapic_id);
		CHECK_EQ(found->pin_of_irq[at[5]], -1);
		found->pin_of_irq[at[5]] = at[7];
		found->io_interrupts++;
		return 8;
	default:
		CHECK_EQ(at[0], 4);
		CHECK_EQ(at[6], 255);
		CHECK_EQ(at[7], found->local_interrupts);              /* LINT0, then LINT1 */
		CHECK_EQ(at[1], found->local_interrupts == 0 ? 3 : 1); /* ExtINT, then NMI */
		found->local_interrupts++;
		return 8;
	}
}

static void walk(const struct guest_memory *memory, struct found *found)
{
	const uint8_t *floating = find_floating(memory);

	memset(found, 0, sizeof(*found));
	memset(found->pin_of_irq, 0xff, sizeof(found->pin_of_irq));
	CHECK(floating != NULL);
	CHECK_EQ(floating[8], 1);
	CHECK_EQ(floating[9], 4);
	CHECK_EQ(floating[11], 0); /* a table, no default configuration */
	const uint8_t *table = guest_memory_at(memory, get32(floating + 4), 44);
	CHECK(table != NULL && memcmp(table, "PCMP", 4) == 0);
	uint16_t length = get16(table + 4);
	CHECK(guest_memory_at(memory, get32(floating + 4), length) == table);
	CHECK(get32(floating + 4) + length <= 0x100000);
	CHECK_EQ(sum(table, length), 0);
	CHECK_EQ(table[6], 4);
	CHECK_EQ(get32(table + 36), 0xfee00000);
	CHECK_EQ(get16(table + 40), 0); /* no extended entries */
	unsigned at = 44, entries = 0;
	for (; at < length; entries++)
		at += read_entry(found, table + at);
	CHECK_EQ(at, length);
	CHECK_EQ(entries, get16(table + 34));
}

static void check_table(unsigned n_cpus)
{
	struct guest_memory memory;
	struct found found;

	CHECK(guest_memory_map(&memory, MEM_BYTES));
	CHECK(mptable_write(&memory, n_cpus));
	walk(&memory, &found);
	CHECK_EQ(found.cpus, n_cpus);
	CHECK_EQ(found.bootstrap_cpus, 1);
	CHECK_EQ(found.buses, 1);
	CHECK_EQ(found.ioapics, 1);
	CHECK_EQ(found.ioapic_id, n_cpus);
	CHECK_EQ(found.io_interrupts, 23);
	CHECK_EQ(found.local_interrupts, 2);
	CHECK_EQ(found.pin_of_irq[0], 2);  /* the PIT */
	CHECK_EQ(found.pin_of_irq[2], -1); /* the PIC's cascade */
	for (int irq = 1; irq < 24; irq++)
		CHECK(irq == 2 || found.pin_of_irq[irq] == irq);
	/* Nothing else in the first MiB and behind it. */
	CHECK_FILLED(memory.host, 0, 0xf0000);
	CHECK_FILLED(memory.host + 0x100000, 0, MEM_BYTES - 0x100000);
	guest_memory_unmap(&memory);
}

static void test_every_cpu_count(void)
{
	for (unsigned n_cpus = 1; n_cpus <= 254; n_cpus++)
		check_table(n_cpus);
}

int main(void)
{
	RUN(test_every_cpu_count);
	return 0;
}
