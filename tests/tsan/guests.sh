#!/bin/bash
# SPDX-License-Identifier: MIT
# Tests of tests/guest once more, with a monitor that is built with ThreadSanitizer: no data race in it, from the
# start to the end. (What the kernel and the guest do with memory it does not see: tests/tsan/*.c.)
set -eu
cd "$(dirname "$0")/../.."
tests=(hello blk-io blk-irq blk-reset smp timer net-io net-reset vsock-io serial-echo serial-output ends signals events control snapshot-clone)

[ -x build/tsan/vmm ] || {
	echo "there is no build/tsan/vmm (make test-programs)"
	exit 1
}
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
export MONITOR=build/tsan/vmm TSAN_OPTIONS="log_path=$logs/race"
# Its shadow memory has fixed places, which random ones may overlap.
! setarch -R true 2>/dev/null || MONITOR="setarch -R $MONITOR"
skipped=()
for name in "${tests[@]}"; do
	status=0
	tests/guest/"$name".sh >"$logs/output" 2>&1 </dev/null || status=$?
	for report in "$logs"/race*; do
		[ -e "$report" ] || continue
		cat "$report"
		echo "FAILED: guest/$name: ThreadSanitizer has something to say"
		exit 1
	done
	case $status in
	0) ;;
	77) skipped+=("$name") ;;
	*)
		cat "$logs/output"
		echo "FAILED: guest/$name"
		exit 1
		;;
	esac
done
[ ${#skipped[@]} -lt ${#tests[@]} ] || {
	echo "all are skipped here: $(tail -n 1 "$logs/output")"
	exit 77
}
echo "no data race in: ${tests[*]}; skipped: ${skipped[*]:-none}"
