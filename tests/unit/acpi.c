/* SPDX-License-Identifier: MIT */
/* The ACPI tables, byte by byte where they are short, and walked where they are long. With arguments it writes them
 * as files, for the compiler that reads them back (tests/tool/acpi-tables.sh). */
#include "boot/acpi.h"

#include "tests/unit/check.h"

#define MEM_BYTES   ((uint64_t)2 << 20)
#define MAX_WINDOWS 19

static struct guest_memory memory;

static struct device_window *windows(void)
{
	static struct device_window list[MAX_WINDOWS];

	for (unsigned i = 0; i < MAX_WINDOWS; i++)
		list[i] =
			(struct device_window){ .acpi_gpa = 0xc0101000 + i * 0x1000, .gsi = 5 + i };
	return list;
}

static void write_tables(unsigned n_cpus, unsigned n_windows, bool has_uart)
{
	CHECK(guest_memory_map(&memory, MEM_BYTES));
	CHECK(acpi_write(&memory, n_cpus, windows(), n_windows, has_uart));
}

static uint32_t get32(const uint8_t *at)
{
	return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t get64(const uint8_t *at)
{
	return get32(at) | (uint64_t)get32(at + 4) << 32;
}

static uint8_t sum(const uint8_t *at, size_t n)
{
	uint8_t total = 0;

	while (n-- > 0)
		total = (uint8_t)(total + *at++);
	return total;
}

static const uint8_t *table_at(uint64_t gpa, const char *signature)
{
	const uint8_t *table = guest_memory_at(&memory, gpa, 36);

	CHECK(table != NULL && memcmp(table, signature, 4) == 0);
	CHECK(gpa >= 0xe0000 && gpa + get32(table + 4) <= 0xf0000);
	CHECK_EQ(sum(table, get32(table + 4)), 0);
	return table;
}

/* From the RSDP on, as a kernel finds it. "FACP", "APIC" or "DSDT". */
static const uint8_t *find_table(const char *signature)
{
	const uint8_t *rsdp = memory.host + 0xe0000;

	CHECK(memcmp(rsdp, "RSD PTR ", 8) == 0);
	CHECK_EQ(sum(rsdp, 20), 0);
	CHECK_EQ(sum(rsdp, 36), 0);
	CHECK_EQ(rsdp[15], 2);
	const uint8_t *xsdt = table_at(get64(rsdp + 24), "XSDT");
	CHECK_EQ(get32(xsdt + 4), 36 + 2 * 8);
	const uint8_t *fadt = table_at(get64(xsdt + 36), "FACP");
	if (strcmp(signature, "FACP") == 0)
		return fadt;
	if (strcmp(signature, "APIC") == 0)
		return table_at(get64(xsdt + 44), "APIC");
	return table_at(get64(fadt + 140), "DSDT");
}

static void test_fadt(void)
{
	static const uint8_t reset[12] = { 1, 8, 0, 1, 0x64 }, control[12] = { 1, 8, 0, 1, 0, 6 },
			     status[12] = { 1, 8, 0, 1, 1, 6 };

	write_tables(1, 1, true);
	const uint8_t *fadt = find_table("FACP");
	CHECK_EQ(get32(fadt + 4), 276);
	CHECK_EQ(fadt[8], 6);
	CHECK_EQ(fadt[131], 5);
	CHECK_EQ(get32(fadt + 40), get64(fadt + 140)); /* one DSDT, told twice */
	CHECK_FILLED(fadt + 44, 0, 65);                /* no fixed hardware, no SCI */
	CHECK_EQ(fadt[109], 1 << 2 | 1 << 3 | 1 << 5);
	CHECK_EQ(get32(fadt + 112), 1 << 20 | 1 << 10 | 1 << 5 | 1 << 4 | 1 << 2 | 1);
	CHECK_BYTES(fadt + 116, reset, 12);
	CHECK_EQ(fadt[128], 0xfe);
	CHECK_FILLED(fadt + 148, 0, 96);
	CHECK_BYTES(fadt + 244, control, 12);
	CHECK_BYTES(fadt + 256, status, 12);
	guest_memory_unmap(&memory);
}

static void check_madt(unsigned n_cpus)
{
	static const uint8_t nmi[6] = { 4, 6, 0xff, 0, 0, 1 };

	write_tables(n_cpus, 0, true);
	const uint8_t *madt = find_table("APIC");
	CHECK_EQ(get32(madt + 4), 44 + 12 + 6 + 8 * n_cpus);
	CHECK_EQ(get32(madt + 36), 0xfee00000);
	CHECK_EQ(get32(madt + 40), 0);
	CHECK_EQ(madt[44], 1);
	CHECK_EQ(madt[45], 12);
	CHECK_EQ(madt[46], n_cpus); /* no processor's */
	CHECK_EQ(get32(madt + 48), 0xfec00000);
	CHECK_EQ(get32(madt + 52), 0);
	CHECK_BYTES(madt + 56, nmi, 6);
	for (unsigned i = 0; i < n_cpus; i++) {
		const uint8_t cpu[8] = { 0, 8, (uint8_t)i, (uint8_t)i, 1 };
		CHECK_BYTES(madt + 62 + 8 * i, cpu, 8);
	}
	guest_memory_unmap(&memory);
}

static void test_every_cpu_count(void)
{
	for (unsigned n_cpus = 1; n_cpus <= 254; n_cpus++)
		check_madt(n_cpus);
}

/* The parts that every DSDT has. */
static const uint8_t poweroff[] = { 0x08, '_', 'S', '5', '_', 0x12, 0x07, 4, 0x0a, 5, 0, 0, 0 };
static const uint8_t scope_name[] = { '_', 'S', 'B', '_' };
static const uint8_t uart[] = {
	0x5b, 0x82, 0x2b, 'C',  'O',  'M',  '1',  0x08, '_',  'H',  'I',  'D',  0x0c, 0x41, 0xd0,
	0x05, 0x01, 0x08, '_',  'C',  'R',  'S',  0x11, 0x16, 0x0a, 0x13, 0x47, 0x01, 0xf8, 0x03,
	0xf8, 0x03, 0x01, 0x08, 0x89, 0x06, 0x00, 0x03, 0x01, 0x04, 0x00, 0x00, 0x00, 0x79, 0x00,
};
static const uint8_t button[] = { 0x5b, 0x82, 0x0f, 'P',  'W',  'R',  'B',  0x08, '_',
				  'H',  'I',  'D',  0x0c, 0x41, 0xd0, 0x0c, 0x0c };
static const uint8_t generation_id[] = {
	0x5b, 0x82, 0x4d, 0x04, 'V', 'G', 'E',  'N',  0x08, '_',  'H',  'I',  'D',  0x0d, 'V', 'M',
	'M',  'V',  '0',  '0',  '0', '1', 0,    0x08, '_',  'C',  'I',  'D',  0x0d, 'V',  'M', '_',
	'G',  'e',  'n',  '_',  'C', 'o', 'u',  'n',  't',  'e',  'r',  0,    0x08, '_',  'D', 'D',
	'N',  0x0d, 'V',  'M',  '_', 'G', 'e',  'n',  '_',  'C',  'o',  'u',  'n',  't',  'e', 'r',
	0,    0x08, 'A',  'D',  'D', 'R', 0x12, 0x08, 2,    0x0c, 0x30, 0x00, 0x0e, 0,    0,
};
static const uint8_t events[] = {
	0x5b, 0x82, 0x4e, 0x04, 'G',  'E',  'D', '_',  0x08, '_',  'H',  'I',  'D', 0x0d,
	'A',  'C',  'P',  'I',  '0',  '0',  '1', '3',  0,    0x08, '_',  'C',  'R', 'S',
	0x11, 0x17, 0x0a, 0x14, 0x89, 0x06, 0,   0x03, 1,    1,    0,    0,    0,   0x89,
	0x06, 0,    0x03, 1,    3,    0,    0,   0,    0x79, 0,    0x14, 0x0d, '_', 'E',
	'0',  '1',  0,    0x86, 'P',  'W',  'R', 'B',  0x0a, 0x80, 0x14, 0x0d, '_', 'E',
	'0',  '3',  0,    0x86, 'V',  'G',  'E', 'N',  0x0a, 0x80,
};

static unsigned put(uint8_t *to, unsigned at, const void *bytes, size_t n)
{
	memcpy(to + at, bytes, n);
	return at + (unsigned)n;
}

static unsigned put_virtio(uint8_t *to, unsigned at, unsigned i)
{
	const uint8_t uid[] = { 0x0a, (uint8_t)i };
	const uint8_t head[] = { 0x5b,
				 0x82,
				 (uint8_t)(i < 2 ? 0x3a : 0x3b),
				 'V',
				 'I',
				 (uint8_t)('0' + i / 10),
				 (uint8_t)('0' + i % 10),
				 0x08,
				 '_',
				 'H',
				 'I',
				 'D',
				 0x0d,
				 'L',
				 'N',
				 'R',
				 'O',
				 '0',
				 '0',
				 '0',
				 '5',
				 0,
				 0x08,
				 '_',
				 'U',
				 'I',
				 'D' };
	const uint8_t resources[] = { 0x08,
				      '_',
				      'C',
				      'R',
				      'S',
				      0x11,
				      0x1a,
				      0x0a,
				      0x17,
				      0x86,
				      0x09,
				      0x00,
				      0x01,
				      0x00,
				      (uint8_t)(0x10 + i * 0x10),
				      (uint8_t)(0x10 + (i + 1) / 16),
				      0xc0,
				      0x00,
				      0x10,
				      0,
				      0,
				      0x89,
				      0x06,
				      0x00,
				      0x03,
				      0x01,
				      (uint8_t)(5 + i),
				      0,
				      0,
				      0,
				      0x79,
				      0x00 };

	at = put(to, at, head, sizeof(head));
	at = put(to, at, i < 2 ? uid + 1 : uid, i < 2 ? 1 : 2);
	return put(to, at, resources, sizeof(resources));
}

static void check_dsdt(unsigned n_windows, bool has_uart)
{
	uint8_t inner[0x1000], expected[0x1000];
	unsigned n = 0, length;

	write_tables(1, n_windows, has_uart);
	const uint8_t *dsdt = find_table("DSDT");
	n = put(inner, n, scope_name, sizeof(scope_name));
	if (has_uart)
		n = put(inner, n, uart, sizeof(uart));
	for (unsigned i = 0; i < n_windows; i++)
		n = put_virtio(inner, n, i);
	n = put(inner, n, button, sizeof(button));
	n = put(inner, n, generation_id, sizeof(generation_id));
	n = put(inner, n, events, sizeof(events));
	length = put(expected, 0, poweroff, sizeof(poweroff));
	const uint8_t scope[] = { 0x10, (uint8_t)(0x40 | ((n + 2) & 15)), (uint8_t)((n + 2) >> 4) };
	length = put(expected, length, scope, sizeof(scope));
	length = put(expected, length, inner, n);
	CHECK_EQ(dsdt[8], 2);
	CHECK_EQ(get32(dsdt + 4), 36 + length);
	CHECK_BYTES(dsdt + 36, expected, length);
	guest_memory_unmap(&memory);
}

static void test_dsdt(void)
{
	check_dsdt(0, true);
	check_dsdt(0, false);
	check_dsdt(1, true);
	check_dsdt(2, true);
	check_dsdt(3, false);
	check_dsdt(19, true);
}

/* 16 bytes where the DSDT's ADDR says (golden above), and never the same. */
static void test_generation_id(void)
{
	uint8_t first[16];

	write_tables(1, 0, true);
	memcpy(first, memory.host + 0xe0030, 16);
	guest_memory_unmap(&memory);
	write_tables(1, 0, true);
	CHECK(memcmp(first, memory.host + 0xe0030, 16) != 0);
	guest_memory_unmap(&memory);
}

static void test_nothing_else_is_written(void)
{
	write_tables(254, 19, true);
	CHECK_FILLED(memory.host, 0, 0xe0000);
	CHECK_FILLED(memory.host + 0xe2000, 0, MEM_BYTES - 0xe2000);
	guest_memory_unmap(&memory);
}

static void save(const char *folder, const char *signature)
{
	char path[256];
	const uint8_t *table = find_table(signature);

	snprintf(path, sizeof(path), "%s/%s", folder, signature);
	FILE *file = fopen(path, "w");
	CHECK(file != NULL);
	CHECK_EQ(fwrite(table, 1, get32(table + 4), file), get32(table + 4));
	CHECK_EQ(fclose(file), 0);
}

int main(int argc, char **argv)
{
	if (argc == 4) { /* FOLDER CPUS WINDOWS */
		write_tables((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]), true);
		save(argv[1], "FACP");
		save(argv[1], "APIC");
		save(argv[1], "DSDT");
		return 0;
	}
	RUN(test_fadt);
	RUN(test_every_cpu_count);
	RUN(test_dsdt);
	RUN(test_generation_id);
	RUN(test_nothing_else_is_written);
	return 0;
}
