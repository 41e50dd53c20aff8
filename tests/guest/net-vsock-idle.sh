#!/bin/bash
# SPDX-License-Identifier: MIT
# Class 9: a VM with a disk, a NIC and a vsock and nothing to do uses no CPU: for 10 s its event loop is not woken once.
# Nor is it when frames and connections wait for which the guest has no receive buffers, or no driver.
# shellcheck source=tests/guest/net_lib.bash
. "$(dirname "$0")/net_lib.bash"
need_kvm

# The CPU time of all threads, the halted vCPU's among them, and what has woken the event loop.
activity() {
	echo "$(sed 's/.*) //' "/proc/$vmm_pid/stat" | awk '{ print $12 + $13 }') ticks, $(wake_ups) wake-ups"
}

# quiet SECONDS WHAT
quiet() {
	local before after
	sleep 0.3 # for what came before it
	before=$(activity)
	sleep "$1"
	after=$(activity)
	[ "$before" = "$after" ] || die "$2: $before; $1 s later $after"
	echo "class 9, busy spin: $2, $1 s: $after, as before"
}

end() {
	kill -TERM "$vmm_pid"
	vmm_wait
	expect_status 143
	expect_no_errors
}

truncate -s 1M "$tmp/disk"
make_tap vmtap0 0 1500
devices=(--kernel "$elf/idle.elf" --disk "$tmp/disk" --net tap=vmtap0 --vsock "cid=3,uds=$tmp/v")
vmm_start "${devices[@]}"
! grep FAILED "$tmp/out" || die "the guest's drivers"
quiet 10 "idle"
end

for word in starved nothing; do
	vmm_start "${devices[@]}" --cmdline $word
	! grep FAILED "$tmp/out" || die "the guest's drivers"
	ip neigh replace 10.77.0.2 lladdr 02:00:00:00:00:02 dev vmtap0
	for ((i = 0; i < 20; i++)); do
		echo "to nobody" >/dev/udp/10.77.0.2/1
	done
	python3 tests/guest/vsock_host.py wait "$tmp/v" >"$tmp/clients" &
	clients=$!
	wait_for "$tmp/clients" waiting
	quiet 2 "$word, with 20 frames and 20 connections that wait"
	kill $clients
	wait $clients 2>/dev/null || :
	end
done
