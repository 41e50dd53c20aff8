#!/bin/bash
# SPDX-License-Identifier: MIT
# Every way a guest ends gives the monitor its documented exit status, promptly: poweroff, reboot and
# halt 0, a command its own status, a triple fault 123, a panic 126 with its text on the console.
. "$(dirname "$0")/lib.sh"

kernel=$(guest_file bzImage)
root=$(image_copy root)
smp=()

end_by() { # STATUS WORDS-IN-THE-COMMAND-LINE COMMAND
	vm_run end --kernel "$kernel" "${smp[@]}" --rootfs "$root" --cmdline "$2 -- sh -c \"echo ENDING; $3; sleep 100\""
	expect_status "$1" "$3 $2"
	expect_text "$work/end.out" ENDING
	echo "$3 $2: status $status after $elapsed_ms ms"
}

for command in poweroff reboot halt "exec true"; do
	end_by 0 "" "$command"
	expect_empty "$work/end.err"
	expect_clean "$root"
done

# The guest's own status: what its command ends with, and which signal ends that.
end_by 7 "" "exit 7"
expect_clean "$root"
end_by 143 "" 'kill -TERM $$'

# The text that the kernel prints last must not get lost with it.
end_by 126 "" "echo c >/proc/sysrq-trigger"
expect_text "$work/end.out" "Kernel panic - not syncing: sysrq triggered crash"
expect_empty "$work/end.err"
expect_recovers "$root"

# Nor what a program prints just before the end: the UART's interrupt must be there by then.
vm_run end --kernel "$kernel" --rootfs "$root" \
	--cmdline '-- sh -c "dd if=/dev/zero of=/file bs=64k count=320 conv=fsync; echo LAST WORDS"'
expect_status 0 "last words"
expect_text "$work/end.out" "LAST WORDS"

end_by 123 "reboot=t" "echo b >/proc/sysrq-trigger"
expect_equal "lines on stderr" 1 "$(wc -l <"$work/end.err")"
expect_text "$work/end.err" "vmm: guest triple fault on vCPU 0"

# A kernel without an init panics, too; with an SMP kernel the processor that panics need not be the first.
vm_run end --kernel "$kernel" --rootfs "$root" --cmdline init=/none
expect_status 126 "no init"
kernel=$(guest_file vmlinux-smp)
smp=(--cpus 2)
end_by 126 "" "echo c | taskset 2 tee /proc/sysrq-trigger"
end_by 0 "" "reboot -f"
passed "12 ends"
