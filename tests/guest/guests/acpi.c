/* SPDX-License-Identifier: MIT */
/* The machine as a kernel with ACPI finds it, as far as no AML is needed: the tables' root, a disk at its second window, power
 * off. With the word "none" it must find nothing of all that. */
#include "rt/blk.h"
#include "rt/rt.h"

#define ZERO_PAGE_RSDP 0x70
#define RESET_VECTOR   0xffff0u
#define CMOS_PORT      0x70
#define SLEEP_CONTROL  0x600
#define SLEEP_STATUS   0x601
#define SLEEP_S3       (3u << 2 | 1u << 5)
#define SLEEP_S5       (5u << 2 | 1u << 5)
#define ACPI_WINDOW    256u /* the second window of the device at window 0 */

static struct blk disk;
static uint8_t data[BLK_SECTOR_BYTES];

static uint32_t device_id(unsigned window)
{
	return mmio_read32(VIRTIO_WINDOW(window) + REG_DEVICE_ID);
}

/* A request by `window`, some more so that doorbells that come late are rung, too; `other` shows no device meanwhile. */
static void use_disk(const char *name, unsigned window, unsigned other)
{
	bool ok = blk_start(&disk, window, 0) && device_id(other) == 0;

	for (unsigned i = 0; ok && i < 8; i++) {
		data[0] = 0;
		ok = blk_io(&disk, BLK_IN, i, data, sizeof(data)) == BLK_OK && data[0] == 'd';
	}
	print_check(name, ok && device_id(other) == 0 && virtio_reset(&disk.device));
}

static void check_ports(bool has_acpi)
{
	print_check("clock reads 0", inb(CMOS_PORT) == 0 && inb(CMOS_PORT + 1) == 0);
	print_check("code at the reset vector",
		    load32((const uint8_t *)RESET_VECTOR) == 0x64e6feb0);
	print_check("sleep registers", inw(SLEEP_CONTROL) == (has_acpi ? 0 : 0xffff) &&
					       inb(SLEEP_STATUS) == (has_acpi ? 0 : 0xff));
	outb(SLEEP_CONTROL, SLEEP_S3);
	outb(SLEEP_STATUS, SLEEP_S5);
	outb(SLEEP_CONTROL, 5u << 2);
}

void guest_main(const uint8_t *zero_page)
{
	bool has_acpi = cmdline_value(zero_page, "none") == NULL;
	uint64_t rsdp = load32(zero_page + ZERO_PAGE_RSDP);

	check_ports(has_acpi);
	if (has_acpi) {
		print_check("RSDP", rsdp == 0xe0000 && load32((const uint8_t *)rsdp) == 0x20445352);
		use_disk("disk at its second window", ACPI_WINDOW, 0);
		use_disk("at the first", 0, ACPI_WINDOW);
		use_disk("and at the second again", ACPI_WINDOW, 0);
	} else {
		print_check("RSDP", rsdp == 0 && load32((const uint8_t *)0xe0000) == 0);
		print_check("one window",
			    device_id(0) == 2 && device_id(ACPI_WINDOW) == UINT32_MAX);
	}
	outb(SLEEP_CONTROL, SLEEP_S5);
	while (has_acpi)
		cpu_pause();
	print("not powered off\n");
}
