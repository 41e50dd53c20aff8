#!/bin/bash
# SPDX-License-Identifier: MIT
# Class 6: a flood of small frames to the guest, then one from the guest. Meanwhile a disk read, an echo over
# another NIC, and frames in the other direction on the flooded NIC finish in bounded time; after each
# flood the NIC works at once.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/net_lib.bash"

limit_ms=$(scaled 3000 30000)
datagrams=$(scaled 5000 200)
truncate -s 2M "$work/disk.img"
net_begin <<'END'
tuntap add tap0 mode tap
addr add 10.9.0.1/24 dev tap0
link set tap0 up
tuntap add tap1 mode tap
addr add 10.9.1.1/24 dev tap1
link set tap1 up
END
net_root <<END
up eth0 10.9.0.2/24
up eth1 10.9.1.2/24
net_peer sink 7000 0 >/out/sink 2>&1 &
sink=\$!
timed() { # NAME COMMAND...: reports how long it took
	what=\$1 start=\$(ms)
	shift
	run "\$what" "\$@"
	report \$what \$((\$(ms) - start))
}
run settled net_peer ping 10.9.0.1 5 100
await flooded
echo 3 >/proc/sys/vm/drop_caches
timed disk_in dd if=/dev/vdb of=/dev/null bs=64k
timed ping_in net_peer ping 10.9.1.1 5 100 1400
timed out_in net_peer flood 10.9.0.1 7001 $datagrams 1000
await over
kill \$sink
timed ping_after net_peer ping 10.9.0.1 5 100 1400
net_peer flood 10.9.0.1 7002 0 100 >/out/flood &
flood=\$!
echo 3 >/proc/sys/vm/drop_caches
timed disk_out dd if=/dev/vdb of=/dev/null bs=64k
timed ping_out net_peer ping 10.9.1.1 5 100 1400
await flooding
kill \$flood
wait \$flood
timed ping_end net_peer ping 10.9.0.1 5 100 1400
END
start_in_ns sink "$programs/net_peer" sink 7001 0
start_in_ns sink2 "$programs/net_peer" sink 7002 0
net_start flood --net tap=tap0 --net tap=tap1 --disk "$work/disk.img"
guest_is_at flooded
start_in_ns flood "$programs/net_peer" flood 10.9.0.2 7000 0 100
await_text "$work/flood.log" flooding
guest_go_on flooded
guest_is_at over
finish_in_ns flood TERM
guest_go_on over
guest_is_at flooding
# The guest floods: echo requests of the host come in on the same NIC and on the other one.
peer ping 10.9.0.2 20 100 1400 >"$work/ping_same" 2>&1 || fail "echo while the guest floods: $(cat "$work/ping_same")"
peer ping 10.9.1.2 20 100 1400 >"$work/ping_other" 2>&1 || fail "echo on the other NIC: $(cat "$work/ping_other")"
guest_go_on flooding
net_finish flood
finish_in_ns sink TERM
finish_in_ns sink2 TERM
times=
for name in disk_in ping_in out_in ping_after disk_out ping_out ping_end; do
	took=$(reported $name)
	expect_range "ms for $name" "$took" 0 "$limit_ms"
	times="$times $name $took"
done
for name in ping_same ping_other; do
	took=$(value_in "$work/$name" total_ms)
	expect_range "ms for $name" "$took" 0 "$limit_ms"
	times="$times $name $took"
done
expect_range "datagrams of the guest that arrived during the flood" "$(value_in "$work/sink.log" received)" \
	$((datagrams / 2)) "$datagrams"
expect_range "flood to the guest that arrived" "$(value_in "$work/out/sink" received)" 100 4000000000
expect_range "flood from the guest that arrived" "$(value_in "$work/sink2.log" received)" 100 4000000000
echo "class 6, flood freeze: ok"
passed "$(value_in "$work/flood.log" sent) to the guest ($(value_in "$work/out/sink" received) arrived)," \
	"$(value_in "$work/out/flood" sent) from it ($(value_in "$work/sink2.log" received) arrived); ms:$times"
