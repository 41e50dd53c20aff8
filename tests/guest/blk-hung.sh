#!/bin/bash
# SPDX-License-Identifier: MIT
# One disk hangs, in its flushes, writes or reads, with as many of them as fit its queue; a second one is served as ever,
# and the VM ends at a signal (bug class 24).
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

bytes=$((64 << 20))
mkdir "$tmp/fuse"
build/tests/guest/fuse_disk "$tmp/fuse" $bytes -- true 2>/dev/null || skip "no FUSE can be had here"
truncate -s 1M "$tmp/disk"

# hung LETTER COMMAND-LINE DISK COMMAND...: the command becomes a VM whose DISK hangs in what the letter says.
hung() {
	: >"$tmp/out"
	build/tests/guest/fuse_disk "$tmp/fuse" $bytes "hang=$1" -- "${@:4}" ./vmm --kernel "$elf/blk_hung.elf" \
		--disk "$3" --disk "$tmp/disk" --cmdline "$2" >"$tmp/out" 2>"$tmp/err" </dev/null &
	pid=$!
	for ((i = 0; i < 2000; i++)); do
		! grep -q '^hung ok' "$tmp/out" || break
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.02
	done
	kill -TERM "$pid" 2>/dev/null || :
	# A loop that waits for the disk does not see the signal.
	for ((i = 0; i < 500; i++)); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.02
	done
	# Its children first: a loop that waits for a device does not even end before the disk does.
	# shellcheck disable=SC2046
	kill -KILL $(cat "/proc/$pid/task/"*/children 2>/dev/null) "$pid" 2>/dev/null || :
	status=0
	wait "$pid" || status=$?
}

expect_hung() {
	expect_checks "start" "healthy" "hung"
	expect_status 143 "a disk that hangs in $1"
	expect_error "disk .*: the last requests did not finish in time"
}

for case in flush:f out:w in:r; do
	hung "${case#*:}" "op=${case%:*}" "$tmp/fuse/disk" env
	expect_hung "${case%:*}"
done

# A device has only so many requests: whoever begins one more waits for the device. The loop device ends soon after the
# VM, with the last process that has it open.
# shellcheck disable=SC2016
on_loop='set -e
loop=$(losetup --find --show "$0")
exec 7<"$loop"
tail --pid=$$ -f /dev/null >/dev/null 2>&1 &
losetup --detach "$loop"
queue=/sys/block/${loop##*/}/queue
echo none >"$queue/scheduler"
echo 40 >"$queue/nr_requests"
[ "$(cat "$queue/nr_requests")" = 40 ]
ln -s "$loop" "$1"
shift
exec "$@"'
if [ "$(id -u)" = 0 ] && [ -e /dev/loop-control ]; then
	hung r "op=in stride=512" "$tmp/loop" bash -c "$on_loop" "$tmp/fuse/disk" "$tmp/loop"
	[ ! -e "$tmp/loop" ] || expect_hung "the reads of a device"
fi

# A disk that the guest does not touch holds nothing up. The monitor is not the file server's own process, whose end
# would end the hang.
# shellcheck disable=SC2016
build/tests/guest/fuse_disk "$tmp/fuse" 1048576 hang=r -- bash -c '
	./vmm --kernel "$2/end.elf" --cmdline spin --disk "$1/fuse/disk" >"$1/out" 2>"$1/err" </dev/null &
	until grep -q running "$1/out"; do sleep 0.02; done
	kill -TERM $!
	for ((i = 0; i < 500; i++)); do
		kill -0 $! 2>/dev/null || break
		sleep 0.02
	done
	[ $i -lt 500 ] || exit 1
	wait $!' bash "$tmp" "$elf" && status=0 || status=$?
expect_status 143 "a disk that hangs and is not used"
expect_no_errors
