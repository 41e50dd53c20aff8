#!/bin/bash
# SPDX-License-Identifier: MIT
# A NIC under stress: a flooded TAP (class 6), a flooded TAP whose guest gives no receive buffers (class 9), a storm
# of notifications, the TAP removed. Whatever happens, the event loop uses no CPU when nothing can be done, and
# the guest is served afterwards.
# shellcheck source=tests/guest/net_lib.bash
. "$(dirname "$0")/net_lib.bash"
need_kvm

make_tap vmtap0 0 1500
vmm_start --kernel "$elf/net_io.elf" --net tap=vmtap0 --cmdline "features=$((1 << 15 | 1 << 29))"
rss() {
	sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$vmm_pid/status"
}
python3 $host check 10.77.0.2 1500
rss_before=$(rss)
python3 $host flood 10.77.0.2 3
rss_after=$(rss)
[ $((rss_after - rss_before)) -lt 2048 ] || die "the flood has made the monitor $((rss_after - rss_before)) KiB larger"
echo "class 6, flood freeze: ok"

# The answer comes when the guest has buffers again; the flood's first frames fill the TAP's queue meanwhile.
timeout 30 python3 $host command 10.77.0.2 "starve 8000" &
command=$!
wait_for "$tmp/out" "starve ok"
(
	for ((i = 0; i < 50; i++)); do
		printf 'x%.0s' {1..1000} >/dev/udp/10.77.0.2/1 || :
	done
) 2>/dev/null
# Earlier frames may still be in flight on a busy machine: then one of the next half seconds is without anything.
for ((i = 0; i < 10; i++)); do
	before="$(cpu_ticks) ticks, $(wake_ups) wake-ups"
	sleep 0.5
	after="$(cpu_ticks) ticks, $(wake_ups) wake-ups"
	[ "$before" != "$after" ] || break
done
kill -0 $command 2>/dev/null || die "the guest was not starved while it was measured"
wait $command || die "the starved guest does not answer"
[ "$before" = "$after" ] || die "starved, and the event loop is busy: $before; half a second later $after"
python3 $host check 10.77.0.2 1500
echo "class 9, busy spin: ok"

timeout 60 python3 $host command 10.77.0.2 "storm 200000"
python3 $host check 10.77.0.2 1500
echo "notify storm: ok"

expect_no_errors
ip link del vmtap0
wait_for "$tmp/out" "link is down"
wait_for "$tmp/err" "the interface was removed"
before=$(cpu_ticks)
sleep 0.5
[ $(($(cpu_ticks) - before)) -le 1 ] || die "a removed TAP keeps the event loop busy"
kill -0 "$vmm_pid" || die "the monitor has ended"
kill -TERM "$vmm_pid"
vmm_wait
expect_status 143
expect_error "net vmtap0: the interface was removed; the guest's link is down"
echo "TAP removed: ok"
