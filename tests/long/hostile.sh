#!/bin/bash
# SPDX-License-Identifier: MIT
# The hostile guests of tests/guest/hostile-*.sh with ten times the effort, and those of linux/hostile-smp, all of them.
set -u
cd "$(dirname "$0")/../.." || exit 1
failed=0

report() { # NAME COMMAND...
	local output name=$1
	shift
	output=$("$@" 2>&1) || {
		echo "FAILED: $name"
		failed=1
	}
	tail -n 2 <<<"$output" | sed "s|^|$name: |"
}

for test in tests/guest/hostile-*.sh; do
	report "$test" env HOSTILE_EFFORT=10 TIME_LIMIT=900 "$test"
done
if [ "$(id -u)" = 0 ] || [[ $(lab/lab --check 2>&1) == direct* ]]; then
	report "the lab" lab/lab --quiet --cpus 2 --time-limit 2400 -- env HOSTILE_ALL=1 tests/linux/hostile-smp.sh
fi
exit $failed
