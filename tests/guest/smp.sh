#!/bin/bash
# SPDX-License-Identifier: MIT
# The boot processor starts the others with INIT and SIPI, in real mode; each runs once.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

for cpus in 1 2 4 8 32; do
	vmm_run --kernel "$elf/smp.elf" --cpus $cpus --cmdline "cpus=$cpus"
	# A host that emulates all but user code may know no real mode.
	if [ "$status" = 125 ] && grep -q 'emulation failure.* on vCPU [1-9]' "$tmp/err"; then
		skip "this host's KVM cannot run an application processor: $(cat "$tmp/err")"
	fi
	expect_status 0 "--cpus $cpus"
	expect_output "starting
others $(printf 0x%x $((cpus - 1)))"
	expect_no_errors
done

# A processor that waits for its SIPI does not keep the VM from ending, nor does the last one's APIC id.
vmm_run --kernel "$elf/hello.elf" --cpus 254
expect_status 0 "--cpus 254"
