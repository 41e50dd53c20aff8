#!/bin/bash
# SPDX-License-Identifier: MIT
# The hostile guests of tests/guest/hostile-*.sh, with ten times the effort.
set -u
export HOSTILE_EFFORT=10 TIME_LIMIT=900
failed=0
for test in "$(dirname "$0")"/../guest/hostile-*.sh; do
	name=$(basename "$test" .sh)
	output=$("$test" 2>&1) || { echo "FAILED: $name"; failed=1; }
	tail -n 1 <<<"$output" | sed "s/^/$name: /"
done
exit $failed
