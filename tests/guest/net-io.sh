#!/bin/bash
# SPDX-License-Identifier: MIT
# A NIC whose driver polls: pings and UDP echoes of all sizes up to an MTU of 1500 and of 9000, with small merged
# receive buffers, without, and with all ring features; a burst of the guest's, hashed here; --net tap= and
# --net fd=; two NICs with their own addresses.
# shellcheck source=tests/guest/net_lib.bash
. "$(dirname "$0")/net_lib.bash"
need_kvm
# VIRTIO_NET_F_MRG_RXBUF, VIRTIO_F_INDIRECT_DESC and VIRTIO_F_EVENT_IDX
mrg=$((1 << 15)) indirect=$((1 << 28)) event_idx=$((1 << 29))

try() {
	python3 $host check 10.77.0.2 "$1"
	python3 $host burst 10.77.0.2 "$1" "$2"
}

make_tap vmtap0 0 9000
vmm_start --kernel "$elf/net_io.elf" --net tap=vmtap0
grep -qx 'mtu 0x2328' "$tmp/out" || die "the guest does not see the interface's MTU"
grep -qE '^mac [0-9a-f][26ae]:' "$tmp/out" || die "the MAC is not locally administered"
mac=$(grep mac "$tmp/out")
for features in 0 $mrg $((mrg | indirect | event_idx)); do
	python3 $host command 10.77.0.2 "features $features"
	echo "features $features"
	try 9000 1000
done
vmm_end 10.77.0.2
expect_status 0
expect_no_errors
grep -qx 'wrong frames 0x0' "$tmp/out" || { show; die "frames with wrong headers"; }
! grep FAILED "$tmp/out" || die "the guest's checks"

# The same MAC again, a smaller MTU by option, and the descriptor of another process.
ip link set vmtap0 mtu 1500
vmm_start --kernel "$elf/net_io.elf" --net tap=vmtap0,mtu=1400 --cmdline "features=$((mrg | event_idx))"
grep -qx 'mtu 0x578' "$tmp/out" || die "the guest does not see mtu="
[ "$(grep mac "$tmp/out")" = "$mac" ] || die "the MAC has changed"
try 1400 5000
vmm_end 10.77.0.2
expect_status 0
launcher=(python3 $host with-tap 9 vmtap0 tap "${fd_flags[@]}" --)
vmm_start --kernel "$elf/net_io.elf" --net fd=9,mac=02:00:00:00:be:ef
grep -qx 'mac 02:00:00:00:be:ef' "$tmp/out" || die "the guest does not see mac="
launcher=()
try 1500 2000
# Whoever shares that descriptor finds it as it was.
flags=$(sed -n 's/^flags:[[:space:]]*//p' "/proc/$vmm_pid/fdinfo/9")
blocks=$((flags & 04000 ? 0 : 1))
[[ "${fd_flags[*]}" == *nonblock ]] || [ $blocks = 1 ] || die "the inherited descriptor has become non-blocking: $flags"
vmm_end 10.77.0.2
expect_status 0
expect_no_errors

# A monitor that is just ending holds its TAP a little longer.
python3 $host with-tap 9 vmtap0 tap no_pi vnet_hdr -- sh -c 'echo held; exec sleep 0.4' >"$tmp/holder" &
wait_for "$tmp/holder" held
vmm_run --kernel "$elf/hello.elf" --net tap=vmtap0
expect_status 0
expect_no_errors

make_tap vmtap1 1 1500
vmm_start --kernel "$elf/net_io.elf" --net tap=vmtap0 --net tap=vmtap1 --cmdline "nics=2 features=$mrg"
[ "$(grep mac "$tmp/out" | sort -u | wc -l)" = 2 ] || die "two NICs with one MAC"
[ "$(grep -m 1 mac "$tmp/out")" = "$mac" ] || die "the first NIC's MAC has changed"
python3 $host burst 10.77.0.2 1500 8000 >"$tmp/burst" &
burst=$!
python3 $host check 10.77.1.2 1500
python3 $host check 10.77.0.2 1500
wait $burst
cat "$tmp/burst"
[ "$(ip -4 neigh show 10.77.0.2 | grep -o 'lladdr [^ ]*')" != "$(ip -4 neigh show 10.77.1.2 | grep -o 'lladdr [^ ]*')" ] ||
	die "both NICs answer with one MAC"
vmm_end 10.77.1.2
expect_status 0
expect_no_errors
grep -qx 'wrong frames 0x0' "$tmp/out" || { show; die "frames with wrong headers"; }
