#!/bin/bash
# SPDX-License-Identifier: MIT
# Clones of a VM that was written at an age of 10 ms, and of 2 s: no clock goes back, a deadline that was armed comes, and 1 ms of sleep takes
# less than 2. This machine's KVM may give guests the host's TSC, which nobody can move (linux/snapshot-time looks at that).
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
for age_ms in 10 2000; do
	vmm_run --kernel "$elf/snapshot_sleep.elf" --cmdline "age_ms=$age_ms" --snapshot "$tmp/$age_ms"
	expect_status 0 "$age_ms ms old"
	[ ! -s "$tmp/out" ] || die "it goes on"
	for clone in 1 2; do
		vmm_run --restore "$tmp/$age_ms"
		expect_status 0 "clone $clone of $age_ms ms"
		sed -i '/^agree /d' "$tmp/out"
		expect_checks tsc 'kvm clock' 'armed before' sleep
	done
done
