#!/bin/bash
# SPDX-License-Identifier: MIT
# Clones of a Linux guest that serves on a vsock, reads a disk and has a network: each has its own random numbers and the right time, its
# listeners serve on, its disk is what it was, it reaches the host by another TAP. CLONES: how many (default 4).
. "$(dirname "$0")/lib.sh"

command -v socat >/dev/null || fail "socat is missing (make deps-test)"
clones=${CLONES:-4}
folder=$([ -n "${VMM_IN_LAB:-}" ] && mktemp -d -p /run || mktemp -d -p "$work")
at_exit rm -rf "$folder"
root=$(image_copy root)
dd if=/dev/urandom of="$work/data" bs=64k count=16 status=none
image_put "$root" "$work/data" /data
sum=$(sha256sum <"$work/data" | cut -d ' ' -f 1)
guest_script "$root" <<-'END'
	ifconfig eth0 10.9.0.2 netmask 255.255.255.0 up
	sha256sum /data >/dev/null
	echo READY
	vsock listen 999 sh
END

in_guest() { # SOCKET COMMAND...
	local i
	for ((i = 0; i < 600; i++)); do [ ! -S "$1" ] || break; sleep 0.1; done
	{ echo "CONNECT 999" && echo "${*:2}" && echo exit; } | timeout 60 socat -t 50 - "UNIX-CONNECT:$1" 2>/dev/null | sed '/^OK /d' | tr -d '\r'
}

make_tap() { # NAME: the only one that has the host's address
	[ -z "${tap:-}" ] || ip link del "$tap" 2>/dev/null || :
	tap=$1
	ip tuntap add "$tap" mode tap && ip addr add 10.9.0.1/24 dev "$tap" && ip link set "$tap" up || fail "no TAP"
}

options() { # NAME: of its devices
	devices=(--rootfs "$root,ro" --net "tap=$1" --vsock "cid=3,uds=$folder/$1.sock")
}

make_tap first
options first
vm_start first --kernel "$(guest_file vmlinux)" "${devices[@]}" --cmdline "$run_script" --snapshot "$folder/snap" </dev/null
wait_for_text "$work/first.out" READY 100
in_guest "$folder/first.sock" 'kill -40 1' >/dev/null
vm_wait
expect_status 0
[ -e "$folder/snap" ] || fail "there is no snapshot"
# A clone that does not set its clock is late by that; one in a busy emulated machine by a second.
sleep 5
slack=$([ -n "${VMM_IN_LAB:-}" ] && echo 3 || echo 1)
: >"$work/randoms"
for ((i = 1; i <= clones; i++)); do
	make_tap "clone$i"
	options "clone$i"
	vm_start "clone$i" --restore "$folder/snap" "${devices[@]}" </dev/null
	before=$(date +%s)
	report=$(in_guest "$folder/clone$i.sock" \
		'od -An -N16 -tx1 /dev/urandom | tr -d " \n"; echo; date +%s; sha256sum </data; ping -c 2 10.9.0.1 | grep received')
	[ -n "$report" ] || fail "clone $i's listener does not answer"
	seconds=$(sed -n 2p <<<"$report")
	sed -n 1p <<<"$report" >>"$work/randoms"
	expect_range "the clock" "$seconds" $((before - slack)) $(($(date +%s) + slack))
	expect_equal "the disk" "$sum  -" "$(sed -n 3p <<<"$report")"
	grep -q ' [12] packets received' <<<"$report" || fail "the host does not answer: $report"
	in_guest "$folder/clone$i.sock" 'reboot -f' >/dev/null
	vm_wait
	expect_status 0
done
expect_equal "different random numbers" "$clones" "$(grep -E '^[0-9a-f]{32}$' "$work/randoms" | sort -u | wc -l)"
passed "$clones clones"
