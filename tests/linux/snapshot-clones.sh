#!/bin/bash
# SPDX-License-Identifier: MIT
# Clones of a Linux guest that serves on a vsock, reads a disk and has a network, some at once: each has its own random numbers, its listener
# serves on, a sleep of 1 ms takes less than 2, its clock is the host's within 10 ms, its disk is what it was, and it reaches the host by
# another TAP at another address. CLONES: how many (default 4); AT_ONCE (default 4).
. "$(dirname "$0")/lib.sh"

command -v socat >/dev/null || fail "socat is missing (make deps-test)"
clones=${CLONES:-4} at_once=${AT_ONCE:-4}
folder=$([ -n "${VMM_IN_LAB:-}" ] && mktemp -d -p /run || mktemp -d -p "$work")
at_exit rm -rf "$folder"
root=$(image_copy root)
dd if=/dev/urandom of="$work/data" bs=64k count=4 status=none
image_put "$root" "$work/data" /data
image_put "$root" "$repo/build/tests/linux/snapshot_clock" /snapshot_clock
sum=$(sha256sum <"$work/data" | cut -d ' ' -f 1)
guest_script "$root" <<-'END'
	ifconfig eth0 10.9.0.2 netmask 255.255.255.0 up
	sha256sum /data >/dev/null
	/snapshot_clock sleep >/dev/null
	echo READY
	vsock listen 999 sh
END
"$repo/build/tests/linux/snapshot_clock" serve "$folder/time" &
child_pids+=("$!")

in_guest() { # SOCKET COMMAND...
	local i
	for ((i = 0; i < 600; i++)); do [ ! -S "$1" ] || break; sleep 0.1; done
	{ echo "CONNECT 999" && echo "${*:2}" && echo exit; } | timeout 120 socat -t 100 - "UNIX-CONNECT:$1" 2>/dev/null | sed '/^OK /d' | tr -d '\r'
}

# The host's time is at port 700 of each. options NUMBER: of its devices; it has a TAP, whose host is 10.9.NUMBER.1.
options() {
	tap=clone$1
	ip tuntap add "$tap" mode tap || fail "no TAP"
	at_exit ip link del "$tap"
	ip addr add "10.9.$1.1/24" dev "$tap" && ip link set "$tap" up || fail "no address for $tap"
	ln "$folder/time" "$folder/$1.sock_700"
	devices=(--rootfs "$root,ro" --net "tap=$tap" --vsock "cid=$((3 + $1)),uds=$folder/$1.sock")
}

value() { # NAME
	sed -n "s/^CLONE $1 \([0-9]*\)/\1/p" <<<"$report"
}

# Adds a line with its random numbers to $work/randoms.
check_clone() { # NUMBER
	local report
	options "$1"
	vm_start "clone$1" --restore "$folder/snap" "${devices[@]}" </dev/null
	report=$(in_guest "$folder/$1.sock" "/snapshot_clock real; /snapshot_clock sleep; sha256sum </data
		echo \"CLONE random \$(od -An -N16 -tx1 /dev/urandom | tr -d ' ')\"
		ifconfig eth0 10.9.$1.2; ping -c 2 10.9.$1.1 | grep received")
	[ -n "$report" ] || fail "clone $1's listener does not answer"
	expect_range "us from the host's time" "$(value real_error_us)" 0 10000
	expect_range "us for the shortest of some sleeps of 1 ms" "$(value shortest_us)" 1000 2000
	grep -q "^$sum  -\$" <<<"$report" || fail "the disk: $report"
	grep -q ' [12] packets received' <<<"$report" || fail "the host does not answer: $report"
	in_guest "$folder/$1.sock" 'reboot -f' >/dev/null
	vm_wait
	expect_status 0
	expect_empty "$work/clone$1.err"
	sed -n 's/^CLONE random \([0-9a-f]\{32\}\)$/\1/p' <<<"$report" >>"$work/randoms"
	ip link del "$tap"
	rm -f "$work/clone$1".*
}

touch "$work/randoms"
for ((i = 0; i < 100; i++)); do [ ! -S "$folder/time" ] || break; sleep 0.1; done
options 0
vm_start first --kernel "$(guest_file vmlinux)" "${devices[@]}" --cmdline "$run_script" --snapshot "$folder/snap" </dev/null
wait_for_text "$work/first.out" READY 100
in_guest "$folder/0.sock" 'kill -40 1' >/dev/null
vm_wait
expect_status 0
[ -e "$folder/snap" ] || fail "there is no snapshot"
# A clone that does not set its clock is late by that.
sleep 2
for ((i = 1; i <= clones; i += at_once)); do
	running=()
	for ((n = i; n < i + at_once && n <= clones; n++)); do
		(check_clone $n) &
		running[n]=$!
	done
	for n in "${!running[@]}"; do wait "${running[n]}" || fail "clone $n"; done
	[ $((n % 20)) != 0 ] || echo "$n of $clones"
done
expect_equal "different random numbers" "$clones" "$(sort -u "$work/randoms" | wc -l)"
passed "$clones clones, $at_once at once"
