#!/bin/bash
# SPDX-License-Identifier: MIT
# Tests of the devices once more, with a VM that goes from one monitor to the next all the time, by snapshots at random moments: under the
# load of disks, a NIC, the console and the keyboard nothing is lost.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

[ ${#monitor[@]} = 1 ] || skip "the monitor is another's"
export MONITOR="python3 tests/guest/snapshotting.py $tmp/snapshots ${monitor[*]}"
total=0 skipped=()

load() { # NAME
	local status=0 n
	: >"$tmp/snapshots"
	timeout -s KILL 200 "tests/guest/$1.sh" >"$tmp/output" 2>&1 </dev/null || status=$?
	n=$(awk '{ sum += $1 } END { print sum + 0 }' "$tmp/snapshots")
	total=$((total + n))
	echo "$1: status $status, $n snapshots"
	case $status in
	0) [ "$n" -ge 3 ] || die "$1: there was no snapshot" ;;
	77) skipped+=("$1") ;;
	*)
		tail -n 20 "$tmp/output"
		die "$1, while it goes from monitor to monitor"
		;;
	esac
}

for name in blk-io blk-irq net-io serial-echo serial-output smp; do load $name; done
# On a fast machine the guests end earlier.
for name in serial-echo smp serial-echo smp; do [ $total -ge 200 ] || load $name; done
[ $total -ge 200 ] || [ ${#skipped[@]} -gt 0 ] || die "$total snapshots"
echo "$total snapshots; skipped: ${skipped[*]:-none}"
