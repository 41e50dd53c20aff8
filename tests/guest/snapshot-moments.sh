#!/bin/bash
# SPDX-License-Identifier: MIT
# Guests that are taken away at random moments, under load of the console, timers, a disk and several CPUs, and go on in another process:
# together they print what one that is left alone prints. SNAPSHOTS: how many moments of each (default 8).
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
snapshots=${SNAPSHOTS:-8}
seed=${SEED:-$((RANDOM * RANDOM))}
total=0

# chain NAME SPREAD_MS KERNEL_OPTION... -- OPTION...: $tmp/out is what all of them print.
chain() {
	local name=$1 spread=$2 kernel=()
	shift 2
	while [ "$1" != -- ]; do kernel+=("$1"); shift; done
	status=0
	timeout -s KILL 300 tests/guest/snapshot_chain.py "$tmp" "$snapshots" "$seed" "$spread" -- "${monitor[@]}" -- "${kernel[@]}" "$@" \
		>"$tmp/out" 2>"$tmp/err" || status=$?
	[ $status = 0 ] || { show; die "$name, seed $seed"; }
	total=$((total + $(tail -n 1 "$tmp/err")))
}

bytes=$(scaled 100000 2)
chain flood 30 --kernel "$elf/serial_flood.elf" --cmdline "bytes=$bytes" --
flood_bytes "$bytes" | cmp - "$tmp/out" || die "the console's bytes, seed $seed"

chain timer 60 --kernel "$elf/timer.elf" --cmdline wanted=40 --
expect_output "lint0 0x700
$(printf '%s ok\n' 'pit pic' 'pit ioapic' 'lapic periodic' 'lapic one-shot' 'tsc-deadline announced' tsc-deadline)"

chain deadlines 60 --kernel "$elf/timer.elf" --cmdline "deadline wanted=400" --
expect_checks 'tsc-deadline announced' tsc-deadline

# Without the guest's own request: every byte of memory and every register, wherever it stands.
chain memory 20 --kernel "$elf/snapshot.elf" --cmdline "mib=2 rounds=30 alone" --
expect_output "$(for ((i = 0; i < 30; i++)); do printf '%s ok\n' memory registers fpu; done)"

truncate -s 4M "$tmp/disk"
chain disk 5 --kernel "$elf/blk_irq.elf" -- --disk "$tmp/disk"
! grep -v ' ok$' "$tmp/out" || die "the disk, seed $seed"

for cpus in 2 4; do
	vmm_run --kernel "$elf/smp.elf" --cpus $cpus --cmdline cpus=$cpus
	[ "$status" = 0 ] || continue
	chain "smp $cpus" 5 --kernel "$elf/control.elf" --cpus $cpus --cmdline "cpus=$cpus counts=40" --
	expect_output "$(for ((i = 0; i < 40; i++)); do printf '%x\n' $i; done)"
done
[ $total -ge $((snapshots * 2)) ] || die "$total snapshots, expected $((snapshots * 2)) at least"
echo "$total snapshots, seed $seed"
