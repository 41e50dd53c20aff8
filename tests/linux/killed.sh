#!/bin/bash
# SPDX-License-Identifier: MIT
# A signal ends the monitor within a second, whatever the guest is doing: booting (several moments)
# or writing as fast as it can. The file system is consistent afterwards, also after SIGKILL, and what
# the guest has fsynced is there. The status is 128 plus the signal's number.
. "$(dirname "$0")/lib.sh"

kernel=$(guest_file bzImage)
root=$(image_copy root)

signal_during_boot() { # SIGNAL STATUS SECONDS
	vm_start "boot-$1-$3" --kernel "$kernel" --rootfs "$root" --cmdline '-- sleep 100' </dev/null
	sleep "$3"
	vm_signal "$1"
	expect_status "$2" "SIG$1 $3 s after the start"
	[ $signal_ms -le "$end_limit_ms" ] || fail "SIG$1 $3 s after the start: ended after $signal_ms ms"
	expect_recovers "$root"
	echo "SIG$1 at $3 s: ended after $signal_ms ms"
}

# Files 1, 2, ... of the same known content are fsynced one by one and then named on the console, while
# two other processes write all the time.
signal_during_writes() { # SIGNAL STATUS
	local name=writes-$1 image last i
	image=$(image_copy "$name")
	guest_script "$image" <<-'END'
		head -c 200000 /bin/busybox >/tmp/part
		mkdir /w
		while :; do dd if=/dev/urandom of=/w/noise bs=64k count=100 2>/dev/null; done &
		while :; do cp /bin/busybox /w/copy; rm /w/copy; done &
		i=1
		while [ $i -le 90 ]; do
			dd if=/tmp/part of=/w/file$i bs=200000 conv=fsync 2>/dev/null && echo "synced $i"
			i=$((i + 1))
		done
		sleep 100
	END
	vm_start "$name" --kernel "$kernel" --rootfs "$image" --cmdline "$run_script" </dev/null
	wait_for_text "$work/$name.out" "synced 3"
	vm_signal "$1"
	expect_status "$2" "SIG$1 during writes"
	[ $signal_ms -le "$end_limit_ms" ] || fail "SIG$1 during writes: ended after $signal_ms ms"
	expect_recovers "$image"
	last=$(grep -aoE 'synced [0-9]+' "$work/$name.out" | tail -n 1 | cut -d ' ' -f 2)
	head -c 200000 "$(command -v busybox)" >"$work/part"
	for ((i = 1; i < last; i++)); do
		image_get "$image" "/w/file$i" | cmp - "$work/part" ||
			fail "SIG$1 during writes: file $i of $last was fsynced and differs"
	done
	echo "SIG$1 during writes: ended after $signal_ms ms, $((last - 1)) files intact"
}

signal_during_boot TERM 143 0.05
signal_during_boot INT 130 0.7
signal_during_boot HUP 129 1.5
signal_during_boot TERM 143 2.5
signal_during_boot QUIT 131 4
signal_during_writes TERM 143
signal_during_writes KILL 137
passed "7 signals"
