#!/bin/bash
# SPDX-License-Identifier: MIT
# A guest that starts its NIC anew in a loop. With the same features the host's TAP is not told, and with it
# every program that listens to the host's network by netlink; with changing features the vCPU waits for the host's
# network, which others change meanwhile, and nobody else does: a host program at the vsock is answered.
# shellcheck source=tests/guest/net_lib.bash
. "$(dirname "$0")/net_lib.bash"
need_kvm
times=300

make_tap vmtap0 0 1500
devices=(--kernel "$elf/net_reset.elf" --net tap=vmtap0 --vsock "cid=3,uds=$tmp/v")

ip -o monitor link >"$tmp/links" &
vmm_start "${devices[@]}" --cmdline "same=$times"
wait_for "$tmp/out" "same ok"
vmm_wait
expect_status 0
ip link set vmtap0 mtu 1399
wait_for "$tmp/links" "mtu 1399" # what came before it is there
told=$(grep -c vmtap0: "$tmp/links" || :)
[ "$told" -lt 40 ] || die "$times resets with the same features made $told messages to the whole host"
echo "$times resets with the same features: $told messages of the interface"

vmm_start "${devices[@]}" --cmdline changing=1
(
	while :; do
		ip link add dummy0 type dummy && ip link del dummy0
	done
) 2>/dev/null &
(
	ip neigh replace 10.77.0.2 lladdr 02:00:00:00:00:02 dev vmtap0
	while :; do
		printf 'x%.0s' {1..100} >/dev/udp/10.77.0.2/1 || :
	done
) 2>/dev/null &
python3 $host answers "$tmp/v" 5
kill -TERM "$vmm_pid"
vmm_wait
expect_status 143
all=$(grep -c vmtap0: "$tmp/links" || :)
[ $((all - told)) -lt 150 ] || die "changing features made $((all - told)) messages to the whole host in 5 s"
expect_no_errors
! grep FAILED "$tmp/out" || die "the guest's checks"
