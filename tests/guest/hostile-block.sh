#!/bin/bash
# SPDX-License-Identifier: MIT
# Hostile requests to the block device; resets with 1 to 256 of them in flight, on a disk that takes its time, too (bug
# classes 1, 5, 8, 13, 15, 17, 20, 22, 25).
# shellcheck source=tests/guest/hostile_lib.bash
. "$(dirname "$0")/hostile_lib.bash"

mkdir "$tmp/slow"
slow=(build/tests/guest/fuse_disk "$tmp/slow" 4194304 delay=2 --)
if "${slow[@]}" true 2>/dev/null; then
	export HOSTILE_SLOW=$tmp/slow/disk
	launcher=("${slow[@]}")
fi
hostile block
