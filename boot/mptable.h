/* SPDX-License-Identifier: MIT */
/* The MP table (Intel MultiProcessor Specification 1.4): how a kernel without ACPI finds its CPUs,
 * the IOAPIC and how the ISA interrupts are wired to it. */
#ifndef BOOT_MPTABLE_H
#define BOOT_MPTABLE_H

#include <stdbool.h>

#include "mem/guest_memory.h"

/* Writes the table for APIC ids 0 to n_cpus - 1 (n_cpus 1 to 254) at LAYOUT_MPTABLE_GPA. False only
 * if there is no RAM there. */
bool mptable_write(const struct guest_memory *memory, unsigned n_cpus);

#endif
