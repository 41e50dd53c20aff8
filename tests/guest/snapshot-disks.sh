#!/bin/bash
# SPDX-License-Identifier: MIT
# Disks and snapshots: a kept overlay goes from monitor to monitor with what the guest has written; which files a clone may have, and two at
# once; and a disk that hangs does not hang the snapshot.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
[ ${#monitor[@]} = 1 ] || skip "the monitor is another's"
vmm=${monitor[0]}

# The pattern that blk_io.elf expects.
LC_ALL=C awk 'BEGIN { for (i = 0; i < 64; i++) {
	printf "%c%c%c%c%c%c%c%c", i, 0, 0, 0, 0, 0, 0, 0
	for (n = 8; n < 512; n++) printf "s" } }' >"$tmp/base"
truncate -s 4M "$tmp/base"
head -c 1536 /dev/zero | tr '\0' r >"$tmp/ro"
printf 'read only disk 1' | dd of="$tmp/ro" bs=1 seek=512 conv=notrunc status=none
cp "$tmp/base" "$tmp/plain"
blk_io=(--kernel "$elf/blk_io.elf")
vmm_run "${blk_io[@]}" --disk "$tmp/plain" --disk "$tmp/ro,ro"
expect_status 0 "a plain image"
cp "$tmp/out" "$tmp/expected-out"

monitor=(python3 tests/guest/snapshotting.py "$tmp/snapshots" "$vmm")
TIME_LIMIT=60 vmm_run "${blk_io[@]}" --disk "$tmp/base,overlay=$tmp/file" --disk "$tmp/ro,ro"
monitor=("$vmm")
expect_status 0 "a kept overlay, from monitor to monitor"
expect_no_errors
cmp "$tmp/expected-out" "$tmp/out" || die "other answers than without snapshots"
[ "$(cat "$tmp/snapshots")" -ge 2 ] || die "$(cat "$tmp/snapshots") snapshots"
tests/guest/overlay_merge.py "$tmp/base" "$tmp/file" | cmp - "$tmp/plain" || die "the overlay differs from the plain image after the same run"

# start OUT ARGUMENT...: in the background, until the guest counts; $pid.
start() {
	: >"$tmp/$1"
	rm -f "$tmp/ctl-$1"
	"$vmm" "${@:2}" --control "$tmp/ctl-$1" >"$tmp/$1" 2>"$tmp/err" </dev/null &
	pid=$!
	wait_for "$tmp/$1" "" # any line
}

stop() { # PID
	kill -TERM "$1"
	wait "$1" || :
}

# What the guest does not use may still not be another's.
truncate -s 1M "$tmp/image"
counts=(--kernel "$elf/control.elf" --snapshot "$tmp/snap")
start first "${counts[@]}" --disk "$tmp/image"
[ "$("$vmm" ctl "$tmp/ctl-first" snapshot)" = '{"ok":true}' ] || die "no snapshot"
wait "$pid" || die "the VM ends with $?"

refused() { # STATUS REGEX ARGUMENT...
	vmm_run --restore "$tmp/snap" "${@:3}"
	expect_status "$1" "${*:3}"
	expect_error "$2"
}
refused 121 'read-only' --disk "$tmp/image,ro"
start one --restore "$tmp/snap" --disk "$tmp/image"
refused 122 'in use|another' --disk "$tmp/image"
stop "$pid"
start one --restore "$tmp/snap" --disk "$tmp/image,overlay"
one=$pid
start two --restore "$tmp/snap" --disk "$tmp/image,overlay=$tmp/two.overlay"
stop "$one"
stop "$pid"
sleep 0.01
touch "$tmp/image"
refused 121 "$tmp/image" --disk "$tmp/image,overlay"
truncate -s 2M "$tmp/image"
refused 121 "$tmp/image" --disk "$tmp/image,overlay"

mkdir "$tmp/fuse"
bytes=$((64 << 20))
if ! build/tests/guest/fuse_disk "$tmp/fuse" $bytes -- true 2>/dev/null; then
	echo "no FUSE can be had here: no disk that hangs"
	exit 0
fi
truncate -s 1M "$tmp/disk"
: >"$tmp/out"
build/tests/guest/fuse_disk "$tmp/fuse" $bytes hang=r -- "$vmm" --kernel "$elf/blk_hung.elf" --disk "$tmp/fuse/disk" \
	--disk "$tmp/disk" --cmdline op=in --control "$tmp/ctl" --snapshot "$tmp/hung" >"$tmp/out" 2>"$tmp/err" </dev/null &
pid=$!
wait_for "$tmp/out" "hung ok"
answer=$("$vmm" ctl "$tmp/ctl" snapshot || :)
[[ $answer == *'"ok":false'*"fuse/disk has not come to rest within 5 s"* ]] || die "a disk that hangs: $answer"
[ ! -e "$tmp/hung" ] || die "there is a snapshot"
"$vmm" ctl "$tmp/ctl" ping >/dev/null || die "the VM does not go on"
"$vmm" ctl "$tmp/ctl" stat | grep -q '"state":"running"' || die "the guest does not go on"
kill -TERM "$pid"
for ((i = 0; i < 500; i++)); do
	kill -0 "$pid" 2>/dev/null || break
	sleep 0.02
done
# shellcheck disable=SC2046
kill -KILL $(cat "/proc/$pid/task/"*/children 2>/dev/null) "$pid" 2>/dev/null || :
