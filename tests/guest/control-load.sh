#!/bin/bash
# SPDX-License-Identifier: MIT
# Tests of the devices once more, with a monitor that is paused all the time: under the load of disks, NICs, a vsock and the
# console 1,000 pauses and more lose nothing.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

export MONITOR="python3 tests/guest/pausing.py $tmp/pauses ${monitor[*]}"
total=0 skipped=()
for name in blk-io blk-irq net-io vsock-io serial-output smp; do
	: >"$tmp/pauses"
	status=0
	timeout -s KILL 200 tests/guest/$name.sh >"$tmp/output" 2>&1 </dev/null || status=$?
	pauses=$(awk '{ sum += $1 } END { print sum + 0 }' "$tmp/pauses")
	total=$((total + pauses))
	echo "$name: status $status, $pauses pauses"
	case $status in
	0) [ "$pauses" -ge 5 ] || die "$name: it was not paused" ;;
	77) skipped+=("$name") ;;
	*)
		tail -n 20 "$tmp/output"
		die "$name, while it is paused again and again"
		;;
	esac
done
[ $total -ge 1000 ] || [ ${#skipped[@]} -gt 0 ] || die "$total pauses"
echo "$total pauses; skipped: ${skipped[*]:-none}"
