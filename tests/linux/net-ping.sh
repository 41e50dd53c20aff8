#!/bin/bash
# SPDX-License-Identifier: MIT
# Echo requests of 0 to 60,000 bytes in both directions: every byte of every answer is compared. Frames
# at each side of the MTU, and datagrams in up to 41 fragments.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/net_lib.bash"

sizes=(0 1 17 18 19 55 56 57 100 255 256 511 999 1471 1472 1473 1480 2000 2952 4095 4096 9000
	16384 32768 59999 60000)
net_begin <<'END'
tuntap add tap0 mode tap
addr add 10.9.0.1/24 dev tap0
link set tap0 up
END
net_root <<END
up eth0 10.9.0.2/24
run pings net_peer ping 10.9.0.1 1 ${sizes[*]}
run busybox ping -c 3 -i 0.1 -s 1000 10.9.0.1
await end
END
net_start ping --net tap=tap0
guest_is_at end
peer ping 10.9.0.2 1 "${sizes[@]}" >"$work/pings" 2>&1 || fail "the host's echo requests: $(cat "$work/pings")"
guest_go_on end
net_finish ping
expect_equal "answers to the host" ${#sizes[@]} "$(value_in "$work/pings" answered)"
expect_equal "answers to the guest" ${#sizes[@]} "$(value_in "$work/out/pings" answered)"
expect_text "$work/out/busybox" "3 packets transmitted, 3 packets received"
passed "${#sizes[@]} sizes from 0 to 60000 bytes each way; worst $(value_in "$work/pings" worst_us) us" \
	"host to guest, $(value_in "$work/out/pings" worst_us) us guest to host"
