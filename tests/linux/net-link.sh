#!/bin/bash
# SPDX-License-Identifier: MIT
# Three NICs: by name, by inherited descriptor, and with `mac=` and `mtu=`. Their addresses, their MTUs (one
# is 9000) and which is which; then 100 link cycles in the guest, 100 of the TAP, and the driver unbound
# and bound again, which resets the device, while echo requests arrive; each time frames flow again.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/net_lib.bash"

binds=$(scaled 20 4)
pings=(8972 8973 100 60000)
net_begin "$programs/net_tap" open tap1 7 <<'END'
tuntap add tap0 mode tap
link set tap0 mtu 9000
addr add 10.9.0.1/24 dev tap0
link set tap0 up
tuntap add tap1 mode tap
addr add 10.9.1.1/24 dev tap1
link set tap1 up
tuntap add tap2 mode tap
addr add 10.9.2.1/24 dev tap2
link set tap2 up
END
net_root <<END
for i in 0 1 2; do
	read -r mac </sys/class/net/eth\$i/address
	read -r mtu </sys/class/net/eth\$i/mtu
	report eth\$i \$mac mtu \$mtu
	up eth\$i 10.9.\$i.2/24
	run pings\$i net_peer ping 10.9.\$i.1 1 0 1400
done
created() { awk '/^Ip:/ { n++; if (n == 2) print \$20 }' /proc/net/snmp; }
before=\$(created)
run large net_peer ping 10.9.0.1 1 1473 8972
report fragments_up_to_the_mtu \$((\$(created) - before))
run larger net_peer ping 10.9.0.1 1 8973 60000
report fragments_above \$((\$(created) - before))
run cycle net_tap cycle eth0 100
run cycled net_peer ping 10.9.0.1 5 ${pings[*]}
await tap_cycles
run tap_cycled net_peer ping 10.9.0.1 5 ${pings[*]}
await binds
device=\$(basename \$(readlink /sys/class/net/eth0/device))
cd /sys/bus/virtio/drivers/virtio_net
i=0
while [ \$i -lt $binds ]; do
	echo \$device >unbind || failed "unbind \$i"
	echo \$device >bind || failed "bind \$i"
	ip link set eth0 up
	i=\$((i + 1))
done
report binds \$i \$(cat /sys/class/net/eth0/address)
await quiet
ip addr add 10.9.0.2/24 dev eth0
run bound net_peer ping 10.9.0.1 5 ${pings[*]}
run others net_peer ping 10.9.1.1 1 1400
run others net_peer ping 10.9.2.1 1 1400
await end
END
net_start link --net tap=tap0 --net fd=7 --net tap=tap2,mac=02:11:22:33:44:55,mtu=1400
guest_is_at tap_cycles
in_ns "$programs/net_tap" cycle tap0 100 >"$work/cycles"
guest_go_on tap_cycles
guest_is_at binds
# No ARP is needed for these frames, so they flow whatever the guest does. More than its ring holds.
in_ns ip neigh replace 10.9.0.2 lladdr 96:a5:0a:2a:e0:b6 dev tap0
start_in_ns flood "$programs/net_peer" flood 10.9.0.2 9 0 1000
await_text "$work/flood.log" flooding
guest_go_on binds
guest_is_at quiet
finish_in_ns flood TERM
guest_go_on quiet
guest_is_at end
peer ping 10.9.0.2 5 "${pings[@]}" >"$work/pings" 2>&1 || fail "the host's echo requests: $(cat "$work/pings")"
guest_go_on end
net_finish link

# Stable: what they are in every version. The descriptor's TAP is known by its name, too.
expect_equal "tap0" "96:a5:0a:2a:e0:b6 mtu 9000" "$(reported eth0)"
expect_equal "tap1 (fd=7)" "76:a8:0a:2a:45:ba mtu 1500" "$(reported eth1)"
expect_equal "tap2" "02:11:22:33:44:55 mtu 1400" "$(reported eth2)"
expect_equal "fragments of packets up to the MTU" 0 "$(reported fragments_up_to_the_mtu)"
expect_equal "fragments of larger packets" 9 "$(reported fragments_above)"
expect_equal "cycles in the guest" 100 "$(value_in "$work/out/cycle" cycles)"
expect_equal "cycles of the TAP" 100 "$(value_in "$work/cycles" cycles)"
expect_equal "binds and the address after them" "$binds 96:a5:0a:2a:e0:b6" "$(reported binds)"
passed "three NICs; 100 link cycles each side; $binds times unbound under $(value_in "$work/flood.log" sent) frames"
