/* SPDX-License-Identifier: MIT */
/*
 * Every guest-physical constant, in address order. Nothing else in the monitor invents an address.
 *
 *   0x0000_0472  the PC's flag for a warm boot
 *   0x0000_0500  GDT                          below the first KiB's tables nothing of ours lies
 *   0x0000_7000  zero page (struct boot_params)
 *   0x0000_8000  initial stack, one page
 *   0x0000_9000  page tables: PML4, PDPT, one page directory for the first GiB
 *   0x0002_0000  kernel command line
 *   0x0009_fc00  end of the RAM below 1 MiB that e820 reports; iSCSI boot table
 *   0x000e_0000  ACPI tables and the VM's generation id
 *   0x000f_0000  SMBIOS tables, at the first place where Linux looks for them
 *   0x000f_0020  MP table (the BIOS area, where Linux looks for "_MP_")
 *   0x000f_fff0  the code that a PC runs after a reset
 *   0x0010_0000  RAM again: kernel, its bss, initrd at the top below 4 GiB
 *   0xc000_0000  end of low RAM at the latest; boot timer
 *   0xc000_1000  virtio-mmio windows, 4 KiB each, as the kernel's command line names them
 *   0xc010_1000  the same devices' windows as ACPI names them
 *   0xfec0_0000  IOAPIC
 *   0xfee0_0000  local APIC
 *   0xfffb_d000  KVM's TSS (three pages) for real mode on Intel
 * 0x1_0000_0000  the rest of the RAM
 */
#ifndef MEM_LAYOUT_H
#define MEM_LAYOUT_H

#include <stdint.h>

#define LAYOUT_WARM_BOOT_GPA     0x472u
#define LAYOUT_GDT_GPA           0x500u
#define LAYOUT_ZERO_PAGE_GPA     0x7000u
#define LAYOUT_STACK_TOP_GPA     0x9000u
#define LAYOUT_PML4_GPA          0x9000u
#define LAYOUT_PDPT_GPA          0xa000u
#define LAYOUT_PD_GPA            0xb000u
#define LAYOUT_CMDLINE_GPA       0x20000u
#define LAYOUT_CMDLINE_MAX_BYTES 0x10000u
#define LAYOUT_LOW_RAM_END_GPA   0x9fc00u
#define LAYOUT_IBFT_GPA          0x9fc00u
#define LAYOUT_RSDP_GPA          0xe0000u
#define LAYOUT_VMGENID_GPA       0xe0030u
#define LAYOUT_XSDT_GPA          0xe0040u
#define LAYOUT_FADT_GPA          0xe0080u
#define LAYOUT_MADT_GPA          0xe01a0u
#define LAYOUT_DSDT_GPA          0xe0a00u
#define LAYOUT_ACPI_END_GPA      0xe2000u
#define LAYOUT_SMBIOS_GPA        0xf0000u
#define LAYOUT_MPTABLE_GPA       0xf0020u
#define LAYOUT_MPTABLE_MAX_BYTES 0xffd0u
#define LAYOUT_RESET_VECTOR_GPA  0xffff0u
#define LAYOUT_HIGH_RAM_GPA      0x100000u
#define LAYOUT_MMIO_HOLE_GPA     0xc0000000u
#define LAYOUT_BOOT_TIMER_GPA    0xc0000000u
#define LAYOUT_BOOT_TIMER_BYTES  0x1000u
#define LAYOUT_VIRTIO_GPA        0xc0001000u
#define LAYOUT_VIRTIO_BYTES      0x1000u
#define LAYOUT_VIRTIO_ACPI_GPA   0xc0101000u
#define LAYOUT_IOAPIC_GPA        0xfec00000u
#define LAYOUT_LAPIC_GPA         0xfee00000u
#define LAYOUT_KVM_TSS_GPA       0xfffbd000u
#define LAYOUT_ABOVE_4G_GPA      0x100000000ull

/* The page tables at LAYOUT_PML4_GPA map this much one to one. The kernel's entry code needs itself,
 * its bss and everything above inside (Linux boot protocol, "64-bit boot protocol"). */
#define LAYOUT_IDENTITY_MAP_BYTES 0x40000000u

/* Ports. */
#define LAYOUT_SERIAL_PORT   0x3f8u
#define LAYOUT_SERIAL_PORTS  8u
#define LAYOUT_I8042_DATA    0x60u
#define LAYOUT_I8042_COMMAND 0x64u
#define LAYOUT_CMOS_PORT     0x70u
#define LAYOUT_CMOS_PORTS    2u
#define LAYOUT_EXIT_PORT     0xf4u
#define LAYOUT_SLEEP_PORT    0x600u /* the control register; behind it status */
#define LAYOUT_SLEEP_PORTS   2u

/* Global system interrupts. 0 to 15 are the ISA interrupts on PIC and IOAPIC, 16 to 23 IOAPIC only.
 * virtio devices take 5 to 23, 8 as the last one: nothing else is wired there. */
#define LAYOUT_TIMER_GSI        0u
#define LAYOUT_POWER_BUTTON_GSI 1u
#define LAYOUT_TIMER_IOAPIC_PIN 2u
#define LAYOUT_VMGENID_GSI      3u
#define LAYOUT_SERIAL_GSI       4u
#define LAYOUT_VIRTIO_FIRST_GSI 5u
#define LAYOUT_RTC_GSI          8u
#define LAYOUT_IOAPIC_PINS      24u

/* Where a device is found. */
struct device_window {
	uint64_t mmio_gpa; /* LAYOUT_VIRTIO_BYTES long */
	uint64_t acpi_gpa; /* the same registers again, for kernels that find the device by ACPI */
	uint32_t gsi;
};

#endif
