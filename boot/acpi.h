/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables (ACPI 6.5): how a kernel without an MP table parser finds its CPUs and the IOAPIC, and one without
 * virtio_mmio.device= words its devices; and how any kernel with ACPI powers off.
 */
#ifndef BOOT_ACPI_H
#define BOOT_ACPI_H

#include <stdbool.h>

#include "mem/guest_memory.h"
#include "mem/layout.h"

/* At LAYOUT_VMGENID_GPA: other ones tell the guest, with LAYOUT_VMGENID_GSI's interrupt, that it is a clone. */
#define ACPI_VMGENID_BYTES 16

/* Writes the tables for APIC ids 0 to n_cpus - 1 (n_cpus 1 to 254), the devices' second windows and the UART, at
 * LAYOUT_RSDP_GPA, and a new generation id. False only if there is no RAM there. */
bool acpi_write(const struct guest_memory *memory, unsigned n_cpus,
		const struct device_window *windows, unsigned n_windows, bool has_uart);

#endif
