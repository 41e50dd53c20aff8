#!/bin/bash
# SPDX-License-Identifier: MIT
# How the guest ends, and how the monitor tells: reset 0, triple fault 4, KVM internal error 5.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

vmm_run --kernel "$elf/end.elf" --cmdline reset
expect_status 0 "reset"
expect_no_errors

vmm_run --kernel "$elf/end.elf" --cmdline triple
expect_status 4 "triple fault"
# Where it stood cannot be asked for: on AMD the processor is back at its reset state.
expect_error 'triple fault on vCPU 0'

vmm_run --kernel "$elf/end.elf" --cmdline internal
expect_status 5 "emulation failure"
expect_error 'internal error, suberror 1 .*vCPU 0 at rip 0x20[0-9a-f]+(, instruction 48 0f c7 0e .*)?: .*\(kvm[_a-z]*, Linux [0-9.]+'

# Output from before a bad end arrives, too.
vmm_run --kernel "$elf/end.elf" --cmdline triple --mem 256M --cpus 2
expect_status 4 "triple fault with a second vCPU that waits"
