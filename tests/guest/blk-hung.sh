#!/bin/bash
# One disk hangs, in its flushes, writes or reads, with as many of them as fit its queue; a second one is served as ever,
# and the VM ends at a signal (safety class 24).
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

mkdir "$tmp/fuse"
build/tests/guest/fuse_disk "$tmp/fuse" 1048576 -- true 2>/dev/null || skip "no FUSE can be had here"
truncate -s 1M "$tmp/disk"
for case in flush:f out:w in:r; do
	: >"$tmp/out"
	build/tests/guest/fuse_disk "$tmp/fuse" 1048576 "hang=${case#*:}" -- ./vmm --kernel "$elf/blk_hung.elf" \
		--disk "$tmp/fuse/disk" --disk "$tmp/disk" --cmdline "op=${case%:*}" >"$tmp/out" 2>"$tmp/err" </dev/null &
	pid=$!
	for ((i = 0; i < 2000; i++)); do
		! grep -q '^hung ok' "$tmp/out" || break
		sleep 0.02
	done
	kill -TERM "$pid"
	# A loop that waits for the disk does not see the signal.
	for ((i = 0; i < 500; i++)); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.02
	done
	kill -KILL "$pid" 2>/dev/null || :
	status=0
	wait "$pid" || status=$?
	expect_checks "start" "healthy" "hung"
	expect_status 143 "a disk that hangs in ${case%:*}"
	expect_error "disk $tmp/fuse/disk: the last requests did not finish in time"
done
