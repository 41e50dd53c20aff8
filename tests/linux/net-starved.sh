#!/bin/bash
# SPDX-License-Identifier: MIT
# Class 9: the guest offers no receive buffers, because its vCPU stands still. The monitor waits without
# spinning, and when the guest goes on it gets every frame that the TAP could hold, in order.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/net_lib.bash"

frames=500 # TUN's queue, with nothing taken into the guest's last buffers
net_begin <<'END'
tuntap add tap0 mode tap
addr add 10.9.0.1/24 dev tap0
link set tap0 txqueuelen 500 up
END
net_root <<END
up eth0 10.9.0.2/24
net_peer sink 7000 $frames >/out/sink 2>&1 &
sink=\$!
run ping net_peer ping 10.9.0.1 1 100
await end
kill \$sink 2>/dev/null
wait \$sink
net_peer ping 10.9.0.1 1 100 60000 >/dev/null || failed "echo at the end"
END
net_start starved --net tap=tap0
guest_is_at end
vcpu=$vm_pid # the first vCPU runs on the main thread
exec 8<>"$work/hold"
"$programs/net_tap" hold "$vcpu" <"$work/hold" >"$work/hold.log" 8>&- &
hold=$!
child_pids+=("$hold")
await_text "$work/hold.log" held
peer flood 10.9.0.2 7000 $frames 1000 >"$work/flood.log"
nap 0.5
ticks=$(ticks_run) woken=$(times_woken)
nap 2
ticks=$(($(ticks_run) - ticks)) woken=$(($(times_woken) - woken))
exec 8>&-
wait "$hold" || fail "hold"
# The datagrams arrive before the console's line is read, or soon after.
nap "$(scaled 1 3)"
guest_go_on end
net_finish starved
expect_range "clock ticks of the starved monitor in 2 s" $ticks 0 "$(scaled 2 10)"
expect_range "times it woke up" $woken 0 50
expect_equal "datagrams" $frames "$(value_in "$work/out/sink" received)"
echo "class 9, busy spin: ok"
passed "starved for 2 s: woken $woken times, $ticks ticks; then $frames of $frames datagrams in order"
