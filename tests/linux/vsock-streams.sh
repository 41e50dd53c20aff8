#!/bin/bash
# SPDX-License-Identifier: MIT
# Streams between a Linux guest and programs of the host, both ways: every byte and every end arrives; 1,000
# connections are open at once; 10,000 are opened and closed; the monitor's memory stays as it is.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/vsock_lib.bash"

size=$(console_size 4000000 150000)
many=1000
each=$(console_size 5000 1500)
churn=$(console_size 5000 1000)

# The kernel holds a socket for as long as anybody does: the monitor's ends, too, must be gone.
sockets() {
	grep -cF "$uds" /proc/net/unix
}

vsock_vm_start streams
sockets_before=$(sockets)
memory_watch
for from in from_host from_guest; do
	$from "echo of 4 x $size bytes" echo 1001 4 "$size"
	$from "hashes, half-close by the client, 2 x $size bytes" sink 1002 2 "$size"
	$from "half-close by the server, 2 x $size bytes" source 1003 2 "$size"
	$from "nobody listens, 10 times" nobody 4321 10
done
memory_check "streams" $((16 * 128))
for from in from_host from_guest; do
	$from "$many open at once, $each bytes" echo 1001 "$many" "$each"
	memory_check "$many open" $((many * 12)) # whole pages, of `each` bytes
	$from "$churn opened and closed, 100 at once" echo 1001 "$churn" 100 100
	memory_check "$churn opened and closed" $((100 * 4))
done
sleep 0.5
expect_range "sockets that the kernel still has" "$(sockets)" 1 "$sockets_before"
vsock_vm_end
expect_empty "$work/streams.err"
passed "4 x $size bytes, $many open, $((2 * churn)) opened and closed, $elapsed_ms ms"
