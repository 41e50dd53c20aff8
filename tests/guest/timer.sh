#!/bin/bash
# SPDX-License-Identifier: MIT
# Interrupts of the PIT through the PIC and the IOAPIC, and of the local APIC's timer in each mode.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

vmm_run --kernel "$elf/timer.elf"
expect_status 0
expect_output "lint0 0x700
pit pic ok
pit ioapic ok
lapic periodic ok
lapic one-shot ok
tsc-deadline announced ok
tsc-deadline ok"
