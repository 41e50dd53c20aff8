#!/bin/bash
# SPDX-License-Identifier: MIT
# A NIC with a stream, whose peer joins it to a TAP here: pings and UDP echoes of all sizes up to an MTU of 1500 and of 9000, a
# burst of the guest's, over passt= and over an inherited socket, with frames in pieces; a peer that leaves and comes back,
# one that is broken, and one that does not read; what is no stream.
# shellcheck source=tests/guest/net_lib.bash
. "$(dirname "$0")/net_lib.bash"
need_kvm
stream=tests/guest/net_stream.py
sock=$tmp/passt.sock
mrg=$((1 << 15)) indirect=$((1 << 28)) event_idx=$((1 << 29))

try() {
	python3 $host check 10.77.0.2 "$1"
	python3 $host burst 10.77.0.2 "$1" "$2"
}

bridge_start() { # WORD...
	: >"$tmp/bridge"
	python3 $stream "$@" >"$tmp/bridge" &
	bridge=$!
	wait_for "$tmp/bridge" listening
}

bridge_end() {
	kill "$bridge"
	wait "$bridge" 2>/dev/null || :
}

make_tap vmtap0 0 9000
bridge_start bridge "$sock" vmtap0
vmm_start --kernel "$elf/net_io.elf" --net "passt=$sock,mtu=9000"
grep -qx 'mtu 0x2328' "$tmp/out" || die "the guest does not see mtu="
grep -qE '^mac [0-9a-f][26ae]:' "$tmp/out" || die "the MAC is not locally administered"
for features in 0 $mrg $((mrg | indirect | event_idx)); do
	python3 $host command 10.77.0.2 "features $features"
	echo "features $features"
	try 9000 1000
done

# The peer goes, and is there again: one line for each, and the guest is reached as before.
bridge_end
wait_for "$tmp/err" "vmm: net $sock: the peer has left; the guest's link is down"
bridge_start bridge "$sock" vmtap0 pieces
wait_for "$tmp/err" "vmm: net $sock: the peer is back; the guest's link is up"
[ "$(wc -l <"$tmp/err")" = 2 ] || { show; die "more than two lines about the link"; }
echo "in pieces"
try 9000 300

# One that stops reading: its frames wait, and it costs nothing.
kill -STOP "$bridge"
python3 - 10.77.0.2 <<'END'
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1], 9))
for i in range(50):
    s.send(b"burst 100")
END
ticks=$(cpu_ticks)
sleep 0.5
[ $(($(cpu_ticks) - ticks)) -le 10 ] || die "a peer that does not read keeps the monitor busy"
kill -CONT "$bridge"
python3 $host check 10.77.0.2 9000
vmm_end 10.77.0.2
expect_status 0
bridge_end
grep -qx 'wrong frames 0x0' "$tmp/out" || { show; die "frames with wrong headers"; }
! grep FAILED "$tmp/out" || die "the guest's checks"

# An inherited socket. Its flags stay.
launcher=(python3 $stream with-bridge 9 vmtap0 --)
ip link set vmtap0 mtu 1500
vmm_start --kernel "$elf/net_io.elf" --net fd=9,mtu=1500,mac=02:00:00:00:be:ef
grep -qx 'mac 02:00:00:00:be:ef' "$tmp/out" || { show; die "the guest does not see mac="; }
try 1500 2000
flags=$(sed -n 's/^flags:[[:space:]]*//p' "/proc/$vmm_pid/fdinfo/9")
! ((flags & 04000)) || die "the inherited socket has become non-blocking: $flags"
vmm_end 10.77.0.2
expect_status 0
expect_no_errors
launcher=()

# A peer that is broken: one line, the link is down, the guest lives.
for bytes in 00000000ffff 00010000 ffffffff 7fffffff00; do
	bridge_start break "$sock" vmtap0 $bytes
	vmm_start --kernel "$elf/net_io.elf" --net "passt=$sock,mtu=1500"
	echo >/dev/udp/10.77.0.2/1 # the guest's answer to the ARP request is the first frame
	wait_for "$tmp/err" "vmm: net $sock: the peer has sent a length that no frame has; the guest's link is down"
	wait_for "$tmp/bridge" "the monitor has left"
	[ "$(wc -l <"$tmp/err")" = 1 ] || { show; die "more than one line about a broken peer"; }
	wait "$bridge" || die "the broken peer"
	kill -TERM "$vmm_pid"
	vmm_wait
	expect_status 143
done

# passt itself, as nobody: echoes by a forwarded port.
command -v passt >/dev/null || die "passt is missing (make deps-test)"
ip route add default via 10.77.0.254
chmod 711 "$tmp"
mkdir "$tmp/passt"
chown 65534 "$tmp/passt"
setpriv --reuid 65534 --regid 65534 --clear-groups passt -f -q -4 -a 10.77.0.2 -n 24 -g 10.77.0.1 -s "$tmp/passt/socket" \
	-u 5007:7 >"$tmp/passt.log" 2>&1 &
for ((i = 0; i < 250; i++)); do [ ! -S "$tmp/passt/socket" ] || break; sleep 0.02; done
vmm_start --kernel "$elf/net_io.elf" --net "passt=$tmp/passt/socket,mtu=1500"
python3 - <<'END' || { cat "$tmp/passt.log"; show; die "echoes through passt"; }
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(20)
s.connect(("127.0.0.1", 5007))
for n in (1, 100, 1472):
    s.send(b"%c" % (n & 255) * n)
    assert s.recv(70000) == b"%c" % (n & 255) * n
END
kill -TERM "$vmm_pid"
vmm_wait
expect_status 143
expect_no_errors
echo "echoes through passt"

# refused ERROR --net VALUE
refused() {
	vmm_run --kernel "$elf/hello.elf" "${@:2}" 9</dev/null
	expect_status "${refused_status:-121}" "$1"
	expect_error "$1"
}
refused "^vmm: --net passt=$tmp/none: No such file or directory$" --net "passt=$tmp/none"
refused '^vmm: --net fd=9: not a TAP descriptor: ' --net fd=9
refused '^vmm: --net: passt= is given twice$' --net passt=a,passt=b
refused '^vmm: --net: expected either tap=NAME, passt=PATH or fd=N$' --net passt=a,tap=b
refused_status=122
refused "^vmm: --net passt=$sock: Connection refused$" --net "passt=$sock,mtu=1500"
refused_status=121
python3 - "${monitor[@]}" --kernel "$elf/hello.elf" >"$tmp/refusals" 2>&1 <<'END' || { cat "$tmp/refusals"; die "sockets that are no stream"; }
import socket, subprocess, sys
def refused(s, words, text):
    got = subprocess.run(sys.argv[1:] + ["--net", "fd=%d%s" % (s.fileno(), words)], pass_fds=[s.fileno()],
                         stdin=subprocess.DEVNULL, capture_output=True)
    assert got.returncode == 121 and text in got.stderr, got
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
refused(a, "", b"expected a TAP or a connected stream socket")
refused(socket.socket(socket.AF_UNIX), "", b"expected a TAP or a connected stream socket")
c, d = socket.socketpair()
refused(c, ",mtu=65522", b"--net mtu=65522: expected at most 65521 with a stream")
END
