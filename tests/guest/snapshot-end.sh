#!/bin/bash
# SPDX-License-Identifier: MIT
# One vCPU ends the VM while another asks for a snapshot: whichever comes first, the monitor ends.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

for late in $(seq 0 40000 600000); do
	vmm_run --kernel "$elf/snapshot_end.elf" --cpus 3 --mem 64M --cmdline "late=$late" --snapshot "$tmp/snap"
	[ "$status" = 2 ] || { [ "$status" = 0 ] && [ -s "$tmp/snap" ]; } || { show; die "late=$late: status $status"; }
	expect_no_errors
	rm -f "$tmp/snap"
done
