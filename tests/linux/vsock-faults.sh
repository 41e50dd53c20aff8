#!/bin/bash
# SPDX-License-Identifier: MIT
# The other side is gone, or does not read: data in flight when a connection is closed, programs killed in
# mid-stream, readers that never read, one that reads long after the guest has closed. Others are not held up, and
# the monitor's memory stays as it is.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/vsock_lib.bash"

endless=4000000000

host_files() {
	find "/proc/$server_pid/fd" -mindepth 1 | wc -l
}

guest_files() {
	in_guest 'find /proc/$(pidof vsock_peer | tr " " "\n" | tail -n 1)/fd -mindepth 1 | wc -l'
}

# The servers have lost all their connections.
expect_closed() { # WHAT
	local end=$((SECONDS + 20))
	until [ "$(host_files) $(guest_files)" = "$files" ]; do
		[ $SECONDS -lt $end ] || fail "$1: connections stay open: $(host_files) $(guest_files), not $files"
		sleep 0.1
	done
}

works() { # WHAT
	from_host "echo after: $1" echo 1001 2 20000
	from_guest "echo after: $1" echo 1001 2 20000
}

expect_stuck() { # FILE LOW HIGH: bytes that each connection took
	local least most
	read -r least most < <(sed -n 's/.* \([0-9]*\) to \([0-9]*\) bytes each.*/\1 \2/p' "$1")
	expect_range "bytes until the writers stood still" "$least" "$2" "$3"
	expect_range "bytes until the writers stood still" "$most" "$2" "$3"
}

vsock_vm_start faults
works "the start"
files="$(host_files) $(guest_files)"
memory_watch

# Linux's guest gives up after 8 s; what it has sent before must still be there.
"$peer" "$uds" late 10 >"$work/late" &
late_pid=$!
child_pids+=("$late_pid")
wait_for_line "$work/late" serving
from_guest "a reader that sleeps for 10 s" stuck 1006 1 1
late_bytes=$(sed -n 's/.* to \([0-9]*\) bytes each.*/\1/p' <<<"$line")

for from in from_host from_guest; do
	$from "100 closed with data in flight" abort 1001 100 1000000
	expect_closed "data in flight"
	memory_check "data in flight" $((101 * 128))
done
works "data in flight"

from_guest "a host that never reads" stuck 1004 10 2 >"$work/stuck" &
stuck_pid=$!
sleep 1
works "writers that stand still"
wait $stuck_pid || fail "stuck: $(cat "$work/stuck")"
cat "$work/stuck"
expect_stuck "$work/stuck" $((192 << 10)) $((768 << 10))
from_host "a guest that never reads" stuck 1004 10 2 >"$work/stuck" &
stuck_pid=$!
sleep 1
works "writers that stand still"
wait $stuck_pid || fail "stuck: $(cat "$work/stuck")"
cat "$work/stuck"
expect_stuck "$work/stuck" $((256 << 10)) $((1024 << 10))
memory_check "readers that never read" $((16 * 128))

wait $late_pid || fail "late: $(cat "$work/late")"
expect_text "$work/late" "late $late_bytes ended"
echo "all $late_bytes bytes came to the reader that slept"

"$peer" "$uds" echo 1001 20 $endless >"$work/killed" &
killed_pid=$!
wait_for_line "$work/killed" open
sleep 0.5
kill -KILL $killed_pid
wait $killed_pid 2>/dev/null || :
works "a killed client of the host"

in_guest "vsock_peer guest echo 1001 20 $endless & sleep 2; kill -KILL \$!; echo killed" >"$work/killed"
expect_text "$work/killed" killed
works "a killed client of the guest"
memory_check "killed clients" $((24 * 128))

in_guest "vsock_peer guest echo 1001 20 $endless" >"$work/killed" &
client_pid=$!
wait_for_line "$work/killed" open
sleep 0.5
kill -KILL "$server_pid"
wait "$server_pid" 2>/dev/null || :
wait $client_pid || fail "the guest's client does not end"
expect_text "$work/killed" "echo: 0 done, 20 broken, 0 refused"
host_serve
works "a killed server of the host"
memory_check "a killed server" $((24 * 128))

vsock_vm_end
expect_empty "$work/faults.err"
passed "$elapsed_ms ms"
