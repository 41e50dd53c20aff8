#!/bin/bash
# SPDX-License-Identifier: MIT
# How the guest ends, and how the monitor tells: reset 0, triple fault 123, KVM internal error 125, and a status of its own.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

vmm_run --kernel "$elf/end.elf" --cmdline reset
expect_status 0 "reset"
expect_no_errors

vmm_run --kernel "$elf/end.elf" --cmdline triple
expect_status 123 "triple fault"
# Where it stood cannot be asked for: on AMD the processor is back at its reset state.
expect_error 'triple fault on vCPU 0'

vmm_run --kernel "$elf/end.elf" --cmdline internal
expect_status 125 "emulation failure"
expect_error 'internal error, suberror 1 .*vCPU 0 at rip 0x20[0-9a-f]+(, instruction 48 0f c7 0e .*)?: .*\(kvm[_a-z]*, Linux [0-9.]+'

# Output from before a bad end arrives, too.
vmm_run --kernel "$elf/end.elf" --cmdline triple --mem 256M --cpus 2
expect_status 123 "triple fault with a second vCPU that waits"

# expect_end STATUS REASON ARGUMENT...: status and report of a guest that ends by itself.
expect_end() {
	vmm_run --kernel "$elf/end.elf" --status-fd 7 --cmdline "${*:3}" 7>"$tmp/report"
	expect_status "$1" "${*:3}"
	expect_no_errors
	[ "$(cat "$tmp/report")" = "{\"exit_code\":$1,\"reason\":\"$2\"}" ] || die "$*: $(cat "$tmp/report")"
}

# A status of the guest's own, whatever the monitor's would mean.
for number in 0 1 7 120 123 126 143 255; do
	expect_end $number guest_ended "status=$number"
done

# A reset after a panic is known by the flag for a warm boot; a status that the guest has told stands.
expect_end 126 guest_panicked "flag=4660 reset"
expect_end 0 guest_ended "flag=4661 reset"
expect_end 7 guest_ended "flag=4660 status=7"
