/* SPDX-License-Identifier: MIT */
/* The state in which a vCPU starts, as data. */
#ifndef CPU_BOOT_STATE_H
#define CPU_BOOT_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "mem/guest_memory.h"

/* Writes the GDT and the page tables that map the first GiB one to one. False: no RAM there. */
bool boot_state_write_tables(const struct guest_memory *memory);

/* Enables in XCR0 what CPUID offers. The guest does so again, with XSETBV; but a KVM that runs under an emulator
 * does not see that, and would tell it the XSAVE size of a smaller XCR0. If this fails the guest finds the reset
 * state. After KVM_SET_CPUID2. */
void boot_state_set_xcr0(int vcpu_fd, uint64_t xcr0);

/* MSRs, and LAPIC LINT0 = ExtINT (the PIC) and LINT1 = NMI. For every vCPU, after KVM_SET_CPUID2.
 * False with errno set; *failed names the ioctl. */
bool boot_state_set_common(int vcpu_fd, const char **failed);

/* Long mode at entry_gpa with RSI = the zero page, interrupts off (Linux boot protocol, "64-bit boot
 * protocol"). For the BSP; the others wait for INIT and SIPI. False as above. */
bool boot_state_set_bsp(int vcpu_fd, uint64_t entry_gpa, const char **failed);

#endif
