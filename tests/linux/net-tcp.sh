#!/bin/bash
# SPDX-License-Identifier: MIT
# TCP in both directions at once, 1 GiB in all (less in the emulated machine), then 500 connections at
# once and UDP: every byte is compared with what the other end must have sent. The frames on the TAP show
# that segmentation and checksum offload are in use each way, and that neither comes from the guest once
# its driver has them switched off.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/net_lib.bash"

mib=$((1 << 20))
each_mib=$(scaled 512 16)
small_mib=$(scaled 64 2)
n_udp=$(scaled 500 10)
udp_sizes=(0 1 1000 1472 1473 9000 60000)
net_begin <<'END'
tuntap add tap0 mode tap
addr add 10.9.0.1/24 dev tap0
addr add fd00::1/64 dev tap0 nodad
link set tap0 up
END
net_root <<END
up eth0 10.9.0.2/24
ip -6 addr add fd00::2/64 dev eth0 nodad 2>/dev/null || ip -6 addr add fd00::2/64 dev eth0
# Tentative (flag 0x40) until Linux has seen the link, which it looks at once a second, and no connection's source
# before: one that is begun too early comes from ::1 and hears nothing.
until grep -q '^fd00.* 8. ' /proc/net/if_inet6; do sleep 0.1; done
report features \$(cat /sys/class/net/eth0/device/features)
report before \$(net_tap offload eth0)
net_peer udp-serve 7001 &
await bulk
run bulk net_peer tcp 10.9.0.1 7000 $((each_mib * mib)) $((each_mib * mib))
run bulk6 net_peer tcp fd00::1 7000 $((small_mib * mib)) $((small_mib * mib))
await plain
report after \$(net_tap offload eth0 tx=off sg=off tso=off gso=off gro=off)
run plain net_peer tcp 10.9.0.1 7000 $((small_mib * mib)) $((small_mib * mib))
report restored \$(net_tap offload eth0 tx=on sg=on tso=on gso=on gro=on)
await many
run many net_peer tcp 10.9.0.1 7000 20011 20011 500
run udp net_peer udp 10.9.0.1 7001 $n_udp ${udp_sizes[*]}
await end
END
start_in_ns server "$programs/net_peer" tcp-serve 7000 503
start_in_ns echo "$programs/net_peer" udp-serve 7001
net_start tcp --net tap=tap0 --mem 256M
guest_is_at bulk
start_in_ns sniff_bulk "$programs/net_tap" sniff tap0
await_text "$work/sniff_bulk.log" sniffing
guest_go_on bulk
guest_is_at plain 140
finish_in_ns sniff_bulk TERM
start_in_ns sniff_plain "$programs/net_tap" sniff tap0
await_text "$work/sniff_plain.log" sniffing
guest_go_on plain
guest_is_at many
finish_in_ns sniff_plain TERM
guest_go_on many
guest_is_at end
peer udp 10.9.0.2 7001 "$n_udp" "${udp_sizes[@]}" >"$work/udp" 2>&1 ||
	fail "the host's datagrams: $(cat "$work/udp")"
guest_go_on end
finish_in_ns server
net_finish tcp

sniffed() { # bulk|plain NAME
	value_in "$work/sniff_$1.log" "$2"
}
expect_equal "bytes received by the guest" $((each_mib * mib)) "$(value_in "$work/out/bulk" received)"
expect_equal "bytes received by the host" $(((each_mib + 2 * small_mib) * mib + 500 * 20011)) \
	"$(value_in "$work/server.log" received)"
expect_equal "connections" 500 "$(value_in "$work/out/many" connections)"
expect_equal "datagrams of the guest" $((${#udp_sizes[@]} * n_udp)) "$(value_in "$work/out/udp" datagrams)"
expect_equal "datagrams of the host" $((${#udp_sizes[@]} * n_udp)) "$(value_in "$work/udp" datagrams)"

# Bits 0, 1: checksums; 7, 8: TSO to the guest; 11, 12: from it; 15: merged buffers; 28, 29: the rings'.
features=$(reported features)
for bit in 0 1 7 8 11 12 15 28 29 32; do
	[ "${features:bit:1}" = 1 ] || fail "the driver has not accepted feature $bit: $features"
done
expect_equal "offloads at first" "tx=on rx=on sg=on tso=on gso=on gro=on" "$(reported before)"
expect_equal "offloads when switched off" "tx=off rx=on sg=off tso=off gso=off gro=off" "$(reported after)"
expect_equal "offloads in the end" "$(reported before)" "$(reported restored)"
for way in to_guest from_guest; do
	frames=$(sniffed bulk ${way}_frames)
	# Two segments at least: a slow sender's pacing makes no longer frames.
	expect_range "longest frame $way" "$(sniffed bulk ${way}_longest)" 2900 65600
	expect_range "frames $way with an unfinished checksum" "$(sniffed bulk ${way}_unfinished_checksums)" \
		$((frames / 2)) "$frames"
done
expect_range "longest frame from the guest without offloads" "$(sniffed plain from_guest_longest)" 1000 1514
expect_equal "unfinished checksums from the guest without offloads" 0 \
	"$(sniffed plain from_guest_unfinished_checksums)"
passed "$((2 * each_mib)) MiB, half of it each way at once, in $(value_in "$work/out/bulk" ms) ms;" \
	"$(sniffed bulk from_guest_frames) frames from the guest, $(sniffed bulk to_guest_frames) to it;" \
	"500 connections in $(value_in "$work/out/many" ms) ms"
