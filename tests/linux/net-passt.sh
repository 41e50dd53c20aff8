#!/bin/bash
# SPDX-License-Identifier: MIT
# A network without root: passt and the monitor run as nobody. The guest gets its address by DHCP, connects to a server of the
# host's loopback by the gateway's address, serves a forwarded port, asks by UDP; with passt's MTU of 65,520, too. passt
# dies and comes again: the guest's carrier goes and comes, and its network works as before.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/net_lib.bash"

command -v passt >/dev/null || fail "passt is missing (make deps-test)"
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
bytes=$(scaled 200000000 1000000)
chmod 711 "$work"
cp "$vmm" "$work/monitor"
vmm=$work/monitor
net_begin "${nobody[@]}" <<<"$net_uplink"
mkdir "$work/socket"
chown 65534 "$work/socket"
passt_start() {
	start_in_ns passt "${nobody[@]}" passt -f -e -4 -s "$work/socket/passt" -t 8080 -u 5000
	child_pids=("${background[passt]}" "${child_pids[@]}")
}
net_root <<END
carrier() { cat /sys/class/net/eth0/carrier; }
until_carrier() { i=0; while [ "\$(carrier)" != \$1 ] && [ \$i -lt 200 ]; do usleep 50000; i=\$((i + 1)); done; }
dhcp() {
	run udhcpc udhcpc -i eth0 -n -q -t 20
	report address \$(ip -4 -o addr show dev eth0 | sed 's/.*inet \([^ ]*\).*/\1/')
}
ip link set lo up
ip link set eth0 up
dhcp
report gateway \$(ip route | sed -n 's/^default via \([^ ]*\).*/\1/p')
run out net_peer tcp 192.0.2.1 7000 $bytes $bytes
ip link set eth0 mtu 65520 || failed mtu
run large net_peer tcp 192.0.2.1 7001 $bytes $bytes
ip link set eth0 mtu 1500
net_peer udp-serve 5000 >/dev/null 2>&1 &
echo READY forward
run in net_peer tcp-serve 8080 1
await die
until_carrier 0
report carrier \$(carrier)
await again
until_carrier 1
report carrier_again \$(carrier)
dhcp
run back net_peer tcp 192.0.2.1 7002 $bytes $bytes
END
chown 65534 "$root"
for port in 7000 7001 7002; do
	start_in_ns server$port "$programs/net_peer" tcp-serve $port 1
done
passt_start
exec 8<>/dev/kvm 9<>"$work/keys"
vm_start passt --kvm-fd 8 --kernel fd=7 --rootfs "$root" --cmdline "$run_script" --net "passt=$work/socket/passt" \
	7<"$(guest_file bzImage)" <&9
console=$work/passt.out
guest_is_at forward
peer tcp 127.0.0.1 8080 "$bytes" "$bytes" >"$work/forwarded" 2>&1 || fail "the forwarded port: $(cat "$work/forwarded")"
peer udp 127.0.0.1 5000 20 1 100 1400 >"$work/datagrams" 2>&1 || fail "the forwarded UDP port: $(cat "$work/datagrams")"
guest_is_at die
kill -KILL "${background[passt]}"
wait "${background[passt]}" 2>/dev/null || :
await_text "$work/passt.err" "the peer has left; the guest's link is down"
guest_go_on die
guest_is_at again
passt_start
await_text "$work/passt.err" "the peer is back; the guest's link is up"
guest_go_on again
net_finish passt 2
expect_equal "the guest's address" 192.0.2.2/24 "$(reported address)"
expect_equal "its gateway" 192.0.2.1 "$(reported gateway)"
expect_equal "its carrier without passt" 0 "$(reported carrier)"
expect_equal "its carrier with the next one" 1 "$(reported carrier_again)"
for port in 7000 7001 7002; do finish_in_ns server$port; done
passed "$bytes bytes each way, out, in, and with an MTU of 65520; passt has died and come again"
