#!/bin/bash
# SPDX-License-Identifier: MIT
# Ports and device memory at every width, string I/O, window edges; the boot timer's line on stderr.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

truncate -s 1M "$tmp/disk"
vmm_run --kernel "$elf/buses.elf" --disk "$tmp/disk" --boot-timer
expect_status 0
checks=("port 8 unclaimed" "port 16 unclaimed" "port 32 unclaimed" "port 8 claimed" "port 16 crosses"
	"port 32 crosses" "port wide write is no byte write" "reset port status" "speaker port refresh bit"
	"mmio 8 unclaimed" "mmio 16 unclaimed" "mmio 32 unclaimed" "mmio 64 unclaimed" "mmio last byte"
	"mmio 32 claimed" "mmio 8 of a 32-bit register" "mmio 64 crosses into another window"
	"mmio 64 crosses out of a window" "mmio 32 unaligned at the edge" "boot timer reads 0"
	"rep insb claimed" "rep insl unclaimed")
{
	printf '%s ok\n' "${checks[@]}"
	# The REP OUTSB: 100 lines of 49 letters.
	awk 'BEGIN {
		for (i = 0; i < 100; i++) {
			line = sprintf("%049d", 0)
			gsub("0", sprintf("%c", 97 + i % 26), line)
			print line
		}
	}'
} >"$tmp/expected"
cmp "$tmp/expected" "$tmp/out" || { diff "$tmp/expected" "$tmp/out" | head; die "stdout differs"; }

expect_error '^vmm: boot-timer: '
# The VM and the kernel come in either order, by whichever thread is free.
for middle in vm_created kernel_loaded; do
	previous=0
	for phase in process_start $middle first_kvm_run userspace; do
		us=$(sed -n "s/.* ${phase}_us=\([0-9]*\).*/\1/p" "$tmp/err")
		[ -n "$us" ] || { show; die "the boot timer's line lacks ${phase}_us"; }
		[ "$us" -ge "$previous" ] || { show; die "${phase}_us=$us is before the phase that precedes it"; }
		previous=$us
	done
done
[ "$previous" -gt 0 ] || die "userspace after 0 us"

# Without the option the register is there but silent.
vmm_run --kernel "$elf/buses.elf" --disk "$tmp/disk"
expect_status 0 "without --boot-timer"
expect_no_errors
