#!/bin/bash
# SPDX-License-Identifier: MIT
# The TAP is removed in the middle of a transfer in both directions: the guest sees its carrier go, the
# monitor says one line and waits without spinning, the console, the disk and the other NIC work on, the
# interface can be taken down and up and its driver bound again, and the VM ends as usual.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/net_lib.bash"

net_begin <<'END'
tuntap add tap0 mode tap
addr add 10.9.0.1/24 dev tap0
link set tap0 up
tuntap add tap1 mode tap
addr add 10.9.1.1/24 dev tap1
link set tap1 up
END
net_root <<'END'
up eth0 10.9.0.2/24
up eth1 10.9.1.2/24
carrier() { cat /sys/class/net/eth$1/carrier; }
report before $(carrier 0) $(carrier 1)
net_peer tcp 10.9.0.1 7000 1000000000000 1000000000000 >/out/transfer 2>&1 &
transfer=$!
await removed
i=0
while [ "$(carrier 0)" = 1 ] && [ $i -lt 100 ]; do usleep 50000; i=$((i + 1)); done
report after $(carrier 0) $(carrier 1)
kill -0 $transfer || failed "the transfer had ended before: $(cat /out/transfer)"
await idle
kill $transfer
net_peer ping 10.9.0.1 1 100 >/dev/null 2>&1 && failed "echo over the removed TAP"
run other net_peer ping 10.9.1.1 1 100 20000
echo 3 >/proc/sys/vm/drop_caches
dd if=/dev/vda of=/dev/null bs=64k count=8 2>/dev/null || failed "disk"
ip link set eth0 down
ip link set eth0 up
device=$(basename $(readlink /sys/class/net/eth0/device))
echo $device >/sys/bus/virtio/drivers/virtio_net/unbind || failed unbind
echo $device >/sys/bus/virtio/drivers/virtio_net/bind || failed bind
ip link set eth0 up
report bound $(carrier 0) $(carrier 1)
END
start_in_ns server "$programs/net_peer" tcp-serve 7000 1
net_start gone --net tap=tap0 --net tap=tap1
guest_is_at removed
# As soon as a megabyte has come from the guest.
in_ns "$programs/net_tap" after tap0 1000000
ip -n "$ns" link del tap0
guest_go_on removed
guest_is_at idle
# The guest waits for a line now, and its transfer is dead: nothing happens that the monitor must look at.
woken=$(times_woken)
nap 2
woken=$(($(times_woken) - woken))
guest_go_on idle
net_finish gone 1
expect_text "$work/gone.err" "vmm: net tap0: the interface was removed; the guest's link is down"
expect_equal "carriers before" "1 1" "$(reported before)"
expect_equal "carriers after" "0 1" "$(reported after)"
expect_equal "carriers when bound again" "0 1" "$(reported bound)"
expect_range "times the idle monitor woke up in 2 s" $woken 0 200
passed "removed after 1 MB; idle: woken $woken times in 2 s"
