#!/bin/bash
# SPDX-License-Identifier: MIT
# Files whose sections say anything, with the right checksums: KVM, the devices and the monitor's own checks refuse them or bear them.
# MUTATIONS: how many of each machine (default 25); SEED.
# shellcheck source=tests/guest/snapshot_lib.bash
. "$(dirname "$0")/snapshot_lib.bash"
seed=${SEED:-$((RANDOM * RANDOM))}
vmm_run --kernel "$elf/snapshot.elf" --snapshot "$tmp/plain"
expect_status 0
make_devices "$tmp/v"
vmm_run --kernel "$elf/snapshot.elf" "${devices[@]}" --snapshot "$tmp/devices"
expect_status 0
for machine in plain devices; do
	options=()
	[ $machine = plain ] || options=("${devices[@]}")
	timeout -s KILL "${TIME_LIMIT:-250}" python3 tests/guest/snapshot_mutate.py "$tmp/$machine" "${MUTATIONS:-25}" "$seed" "$tmp/mutant" -- \
		"${monitor[@]}" "${options[@]}" || die "snapshot_mutate.py, $machine, seed $seed"
done
