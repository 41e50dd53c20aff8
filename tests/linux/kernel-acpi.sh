#!/bin/bash
# SPDX-License-Identifier: MIT
# The kernel with ACPI: it finds its machine by the tables, powers off through S5, and has the power button, which is a
# signal to init, and the VM generation's number.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/../kernel/cells.bash"

drivers_of() { # PATTERN: what of the ACPI devices is bound to such a driver, in the guest
	echo "ls -d /sys/bus/acpi/drivers/*/*:* /sys/bus/platform/drivers/*/*:* 2>/dev/null | grep -ciE '$1'"
}

cells_open
cell acpi vmlinux on 1
cell acpi bzImage off 1

root=$(image_copy root)
guest_script "$root" <<-END_SCRIPT
	report vmgenid \$($(drivers_of vmgenid))
	report button \$($(drivers_of power.button))
	sync
	poweroff -f
END_SCRIPT
vm_run poweroff --kernel "$(guest_file vmlinux-acpi)" --rootfs "$root" --cmdline "$run_script"
expect_status 0 poweroff
expect_text "$work/poweroff.out" "reboot: Power down"
expect_recovers "$root"
read_report "$root"
expect_equal "generation's number" 1 "$(report_value vmgenid)"
expect_equal "power button" 1 "$(report_value button)"

vm_run button --kernel "$(guest_file vmlinux-acpi)" --rootfs "$root,ro" --cmdline '-- sh -c "kill -38 1; sleep 1000"'
expect_status 0 "the power button's signal"
passed "4 boots"
