#!/bin/bash
# SPDX-License-Identifier: MIT
# A guest that is asked to end, by the power button or the serial port's ring indicator, ends in order: its programs have the
# time they need, its file system is clean, the status is 0. One that does not heed ends at the second signal, and what it has
# flushed is there.
. "$(dirname "$0")/lib.sh"

start() { # KERNEL TRAP
	root=$(image_copy root)
	guest_script "$root" <<-END
		trap '' HUP
		trap '$2' TERM
		dd if=/dev/zero of=/out/flushed bs=64k count=16 conv=fsync 2>/dev/null
		echo READY
		while :; do sleep 0.2; done
	END
	vm_start vm --kernel "$(guest_file "$1")" --rootfs "$root" --control "$work/c" --grace 100 --cmdline "$run_script"
	wait_for_text "$work/vm.out" READY
}

# More than the second that init gives where nobody has asked.
told='sleep 3; echo told >/out/told; exit 3'

expect_orderly() { # WHAT
	vm_wait
	expect_status 0 "$1"
	expect_empty "$work/vm.err"
	expect_clean "$root"
	expect_equal "what the program has written at the end" told "$(image_get "$root" /out/told)"
}

start vmlinux "$told"
expect_equal "powerdown, without ACPI" '{"ok":true,"asked":["serial_ring"]}' "$("$vmm" ctl "$work/c" powerdown)"
expect_orderly "powerdown, without ACPI"

start vmlinux-acpi "$told"
expect_equal "powerdown, with ACPI" '{"ok":true,"asked":["power_button","serial_ring"]}' "$("$vmm" ctl "$work/c" powerdown)"
expect_orderly "powerdown, with ACPI"

start vmlinux "$told"
kill -TERM "$vm_pid"
expect_orderly "SIGTERM"

start vmlinux 'echo TOLD'
kill -TERM "$vm_pid"
wait_for_text "$work/vm.out" TOLD
vm_signal TERM
expect_status 143 "the second SIGTERM"
expect_range "ms to end" "$signal_ms" 0 $end_limit_ms
expect_recovers "$root"
expect_equal "flushed bytes" 1048576 "$(image_get "$root" /out/flushed | wc -c)"
passed "3 ends in order, one by force after $signal_ms ms"
