/* SPDX-License-Identifier: MIT */
#include "boot/acpi.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include "boot/aml.h"
#include "boot/checksum.h"
#include "io/reset_port.h"
#include "io/sleep_port.h"

#define RSDP_REVISION       2  /* with an XSDT */
#define RSDP_FIRST_BYTES    20 /* what ACPI 1.0 knew has a checksum of its own */
#define XSDT_REVISION       1
#define FADT_REVISION       6
#define FADT_MINOR_REVISION 5
#define MADT_REVISION       6
#define DSDT_REVISION       2 /* integers have 64 bits */
#define MAX_TABLE_CPUS      254

#define ADDRESS_PORT  1
#define ADDRESS_BYTES 1

/* Flags of the FADT (5.2.9). */
#define FADT_WBINVD          (1u << 0)
#define FADT_C1              (1u << 2)
#define FADT_NO_POWER_BUTTON (1u << 4) /* among the fixed hardware: it is a device */
#define FADT_NO_SLEEP_BUTTON (1u << 5)
#define FADT_RESET_REGISTER  (1u << 10)
#define FADT_HW_REDUCED      (1u << 20)
/* Its boot architecture flags: what a kernel need not probe for. The i8042's bit is clear: there is no keyboard. */
#define FADT_NO_VGA      (1u << 2)
#define FADT_NO_MSI      (1u << 3)
#define FADT_NO_CMOS_RTC (1u << 5)

#define MADT_CPU         0
#define MADT_IOAPIC      1
#define MADT_LOCAL_NMI   4
#define MADT_CPU_ENABLED 1u
#define MADT_ALL_CPUS    0xff
#define MADT_NMI_LINT    1

#define NOTIFY_EVENT 0x80 /* a button's push, a change of the generation id */

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt_gpa;
	uint32_t length;
	uint64_t xsdt_gpa;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct acpi_xsdt {
	struct acpi_header header;
	uint64_t table_gpas[2];
} __attribute__((packed));

struct acpi_address {
	uint8_t space, bit_width, bit_offset, access;
	uint64_t address;
} __attribute__((packed));

struct acpi_fadt {
	struct acpi_header header;
	uint32_t facs_gpa; /* none: it is for fixed hardware */
	uint32_t dsdt_gpa;
	uint8_t reserved0, profile;
	uint16_t sci_interrupt;
	uint8_t fixed_hardware[61];
	uint16_t boot_architecture;
	uint8_t reserved1;
	uint32_t flags;
	struct acpi_address reset_register;
	uint8_t reset_value;
	uint16_t arm_boot_architecture;
	uint8_t minor_revision;
	uint64_t extended_facs_gpa, extended_dsdt_gpa;
	struct acpi_address extended_fixed_hardware[8];
	struct acpi_address sleep_control, sleep_status;
	char hypervisor[8];
} __attribute__((packed));

struct madt_cpu {
	uint8_t type, length;
	uint8_t processor_uid, apic_id;
	uint32_t flags;
} __attribute__((packed));

struct madt_ioapic {
	uint8_t type, length;
	uint8_t ioapic_id, reserved;
	uint32_t gpa;
	uint32_t first_gsi;
} __attribute__((packed));

struct madt_local_nmi {
	uint8_t type, length;
	uint8_t processor_uid;
	uint16_t flags; /* 0: polarity and trigger conform to the bus */
	uint8_t lint;
} __attribute__((packed));

struct acpi_madt {
	struct acpi_header header;
	uint32_t lapic_gpa;
	uint32_t flags; /* no PIC for a kernel that uses these tables */
	struct madt_ioapic ioapic;
	struct madt_local_nmi nmi;
	struct madt_cpu cpus[MAX_TABLE_CPUS]; /* as many as there are */
} __attribute__((packed));

static_assert(sizeof(struct acpi_rsdp) == 36, "ACPI 6.5, 5.2.5.3");
static_assert(sizeof(struct acpi_header) == 36, "ACPI 6.5, 5.2.6");
static_assert(sizeof(struct acpi_address) == 12, "ACPI 6.5, 5.2.3.2");
static_assert(sizeof(struct acpi_fadt) == 276, "ACPI 6.5, 5.2.9");
static_assert(offsetof(struct acpi_fadt, flags) == 112, "ACPI 6.5, 5.2.9");
static_assert(offsetof(struct acpi_fadt, sleep_control) == 244, "ACPI 6.5, 5.2.9");
static_assert(sizeof(struct madt_cpu) == 8, "ACPI 6.5, 5.2.12.2");
static_assert(sizeof(struct madt_ioapic) == 12, "ACPI 6.5, 5.2.12.3");
static_assert(sizeof(struct madt_local_nmi) == 6, "ACPI 6.5, 5.2.12.7");
static_assert(LAYOUT_RSDP_GPA + sizeof(struct acpi_rsdp) <= LAYOUT_VMGENID_GPA &&
		      LAYOUT_XSDT_GPA + sizeof(struct acpi_xsdt) <= LAYOUT_FADT_GPA &&
		      LAYOUT_FADT_GPA + sizeof(struct acpi_fadt) <= LAYOUT_MADT_GPA &&
		      LAYOUT_MADT_GPA + sizeof(struct acpi_madt) <= LAYOUT_DSDT_GPA &&
		      LAYOUT_DSDT_GPA + sizeof(struct acpi_header) + AML_MAX_BYTES <=
			      LAYOUT_ACPI_END_GPA &&
		      LAYOUT_ACPI_END_GPA <= LAYOUT_MPTABLE_GPA,
	      "each table fits its place");

static struct acpi_header header_of(const char *signature, uint8_t revision, size_t length)
{
	struct acpi_header header = {
		.length = (uint32_t)length,
		.revision = revision,
		.oem_id = "VMM   ",
		.oem_table_id = "MICROVM ",
		.oem_revision = 1,
		.creator_id = "VMM ",
		.creator_revision = 1,
	};

	memcpy(header.signature, signature, sizeof(header.signature));
	return header;
}

static struct acpi_address port_address(uint16_t port)
{
	return (struct acpi_address){ ADDRESS_PORT, 8, 0, ADDRESS_BYTES, port };
}

static void write_rsdp(struct acpi_rsdp *rsdp)
{
	*rsdp = (struct acpi_rsdp){
		.signature = "RSD PTR ",
		.oem_id = "VMM   ",
		.revision = RSDP_REVISION,
		.length = sizeof(*rsdp),
		.xsdt_gpa = LAYOUT_XSDT_GPA,
	};
	rsdp->checksum = checksum(rsdp, RSDP_FIRST_BYTES);
	rsdp->extended_checksum = checksum(rsdp, sizeof(*rsdp));
}

static void write_xsdt(struct acpi_xsdt *xsdt)
{
	*xsdt = (struct acpi_xsdt){
		.header = header_of("XSDT", XSDT_REVISION, sizeof(*xsdt)),
		.table_gpas = { LAYOUT_FADT_GPA, LAYOUT_MADT_GPA },
	};
	xsdt->header.checksum = checksum(xsdt, sizeof(*xsdt));
}

/* Hardware-reduced: no SCI, no PM timer, no SMI, and with that no probing of the PIT, the PIC and the RTC. */
static void write_fadt(struct acpi_fadt *fadt)
{
	*fadt = (struct acpi_fadt){
		.header = header_of("FACP", FADT_REVISION, sizeof(*fadt)),
		.dsdt_gpa = LAYOUT_DSDT_GPA,
		.boot_architecture = FADT_NO_VGA | FADT_NO_MSI | FADT_NO_CMOS_RTC,
		.flags = FADT_WBINVD | FADT_C1 | FADT_NO_POWER_BUTTON | FADT_NO_SLEEP_BUTTON |
			 FADT_RESET_REGISTER | FADT_HW_REDUCED,
		.reset_register = port_address(LAYOUT_I8042_COMMAND),
		.reset_value = RESET_PORT_RESET,
		.minor_revision = FADT_MINOR_REVISION,
		.extended_dsdt_gpa = LAYOUT_DSDT_GPA,
		.sleep_control = port_address(LAYOUT_SLEEP_PORT),
		.sleep_status = port_address(LAYOUT_SLEEP_PORT + 1),
		.hypervisor = { 'V', 'M', 'M' },
	};
	fadt->header.checksum = checksum(fadt, sizeof(*fadt));
}

static void write_madt(struct acpi_madt *madt, unsigned n_cpus)
{
	size_t bytes = offsetof(struct acpi_madt, cpus) + n_cpus * sizeof(madt->cpus[0]);

	madt->header = header_of("APIC", MADT_REVISION, bytes);
	madt->lapic_gpa = LAYOUT_LAPIC_GPA;
	madt->ioapic = (struct madt_ioapic){
		.type = MADT_IOAPIC,
		.length = sizeof(madt->ioapic),
		.ioapic_id = (uint8_t)n_cpus,
		.gpa = LAYOUT_IOAPIC_GPA,
	};
	madt->nmi = (struct madt_local_nmi){
		.type = MADT_LOCAL_NMI,
		.length = sizeof(madt->nmi),
		.processor_uid = MADT_ALL_CPUS,
		.lint = MADT_NMI_LINT,
	};
	for (unsigned i = 0; i < n_cpus; i++)
		madt->cpus[i] = (struct madt_cpu){
			.type = MADT_CPU,
			.length = sizeof(madt->cpus[0]),
			.processor_uid = (uint8_t)i,
			.apic_id = (uint8_t)i,
			.flags = MADT_CPU_ENABLED,
		};
	madt->header.checksum = checksum(madt, bytes);
}

static void add_uart(struct aml *aml)
{
	aml_device(aml, "COM1");
	aml_name_integer(aml, "_HID", AML_PNP(0x0501));
	aml_resources(aml);
	aml_ports(aml, LAYOUT_SERIAL_PORT, LAYOUT_SERIAL_PORTS);
	aml_interrupt(aml, LAYOUT_SERIAL_GSI);
	aml_resources_end(aml);
	aml_end(aml);
}

static void add_virtio(struct aml *aml, const struct device_window *window, unsigned index)
{
	char name[] = { 'V', 'I', (char)('0' + index / 10), (char)('0' + index % 10), '\0' };

	aml_device(aml, name);
	aml_name_string(aml, "_HID", "LNRO0005");
	aml_name_integer(aml, "_UID", index);
	aml_resources(aml);
	aml_memory(aml, (uint32_t)window->acpi_gpa, LAYOUT_VIRTIO_BYTES);
	aml_interrupt(aml, window->gsi);
	aml_resources_end(aml);
	aml_end(aml);
}

static void add_power_button(struct aml *aml)
{
	aml_device(aml, "PWRB");
	aml_name_integer(aml, "_HID", AML_PNP(0x0c0c));
	aml_end(aml);
}

/* "Virtual Machine Generation ID", Microsoft, 2012. A _HID must end in four hexadecimal digits; drivers go by the
 * _CID. */
static void add_generation_id(struct aml *aml)
{
	aml_device(aml, "VGEN");
	aml_name_string(aml, "_HID", "VMMV0001");
	aml_name_string(aml, "_CID", "VM_Gen_Counter");
	aml_name_string(aml, "_DDN", "VM_Gen_Counter");
	aml_name_package(aml, "ADDR", 2);
	aml_integer(aml, LAYOUT_VMGENID_GPA);
	aml_integer(aml, 0);
	aml_end(aml);
	aml_end(aml);
}

static void add_event(struct aml *aml, const char *method, const char *device)
{
	aml_method(aml, method);
	aml_notify(aml, device, NOTIFY_EVENT);
	aml_end(aml);
}

/* The Generic Event Device (5.6.9) turns its interrupts into notifications: _Exx is called for an edge on GSI xx. */
static void add_events(struct aml *aml)
{
	static_assert(LAYOUT_POWER_BUTTON_GSI == 0x01 && LAYOUT_VMGENID_GSI == 0x03,
		      "the methods' names");
	aml_device(aml, "GED_");
	aml_name_string(aml, "_HID", "ACPI0013");
	aml_resources(aml);
	aml_interrupt(aml, LAYOUT_POWER_BUTTON_GSI);
	aml_interrupt(aml, LAYOUT_VMGENID_GSI);
	aml_resources_end(aml);
	add_event(aml, "_E01", "PWRB");
	add_event(aml, "_E03", "VGEN");
	aml_end(aml);
}

/* SLP_TYPa for the sleep control register, SLP_TYPb, and two that are reserved. */
static void add_poweroff(struct aml *aml)
{
	aml_name_package(aml, "_S5_", 4);
	aml_integer(aml, SLEEP_PORT_TYPE_S5);
	for (unsigned i = 1; i < 4; i++)
		aml_integer(aml, 0);
	aml_end(aml);
}

static void write_dsdt(struct acpi_header *dsdt, const struct device_window *windows,
		       unsigned n_windows, bool has_uart)
{
	struct aml aml = { .bytes = (uint8_t *)(dsdt + 1) };

	add_poweroff(&aml);
	aml_scope(&aml, "_SB_");
	if (has_uart)
		add_uart(&aml);
	for (unsigned i = 0; i < n_windows; i++)
		add_virtio(&aml, &windows[i], i);
	add_power_button(&aml);
	add_generation_id(&aml);
	add_events(&aml);
	aml_end(&aml);
	*dsdt = header_of("DSDT", DSDT_REVISION, sizeof(*dsdt) + aml.length);
	dsdt->checksum = checksum(dsdt, dsdt->length);
}

bool acpi_write(const struct guest_memory *memory, unsigned n_cpus,
		const struct device_window *windows, unsigned n_windows, bool has_uart)
{
	uint8_t *place =
		guest_memory_at(memory, LAYOUT_RSDP_GPA, LAYOUT_ACPI_END_GPA - LAYOUT_RSDP_GPA);

	if (place == NULL)
		return false;
	write_rsdp((struct acpi_rsdp *)place);
	write_xsdt((struct acpi_xsdt *)(place + LAYOUT_XSDT_GPA - LAYOUT_RSDP_GPA));
	write_fadt((struct acpi_fadt *)(place + LAYOUT_FADT_GPA - LAYOUT_RSDP_GPA));
	write_madt((struct acpi_madt *)(place + LAYOUT_MADT_GPA - LAYOUT_RSDP_GPA), n_cpus);
	write_dsdt((struct acpi_header *)(place + LAYOUT_DSDT_GPA - LAYOUT_RSDP_GPA), windows,
		   n_windows, has_uart);
	return getrandom(place + LAYOUT_VMGENID_GPA - LAYOUT_RSDP_GPA, ACPI_VMGENID_BYTES, 0) ==
	       ACPI_VMGENID_BYTES;
}
