#!/bin/bash
# SPDX-License-Identifier: MIT
# --acpi, for a guest: tables, a second window for each device, power off. That the tables are right is told by
# unit/acpi, tool/acpi-tables and the kernels.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

head -c 8192 /dev/zero | tr '\0' d >"$tmp/disk"
vmm_run --kernel "$elf/acpi.elf" --disk "$tmp/disk"
expect_status 0
expect_checks "clock reads 0" "code at the reset vector" "sleep registers" "RSDP" "disk at its second window" \
	"at the first" "and at the second again"
expect_no_errors

vmm_run --kernel "$elf/acpi.elf" --disk "$tmp/disk" --acpi off --cmdline none
expect_status 0 "--acpi off"
expect_output "clock reads 0 ok
code at the reset vector ok
sleep registers ok
RSDP ok
one window ok
not powered off"
expect_no_errors
