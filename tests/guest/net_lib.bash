# shellcheck shell=bash
# For the tests of net: `. "$(dirname "$0")/net_lib.bash"` first of all. Starts the test again in a network
# namespace of its own, which ends with it; then does what lib.sh does.
if [ "${NET_NAMESPACE-}" != yes ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "a network namespace with a TAP needs root"
		exit 77
	fi
	if [ ! -c /dev/net/tun ] || ! { : <>/dev/net/tun; } 2>/dev/null; then
		echo "there is no /dev/net/tun"
		exit 77
	fi
	if ! unshare --net true 2>/dev/null; then
		echo "no network namespaces here"
		exit 77
	fi
	NET_NAMESPACE=yes exec unshare --net -- "$0" "$@"
fi
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
host=tests/guest/net_host.py
vmm_pid=

# No router solicitations and the like between the frames of the tests.
if [ -e /proc/sys/net/ipv6/conf/default/disable_ipv6 ]; then
	for word in all default; do
		echo 1 >"/proc/sys/net/ipv6/conf/$word/disable_ipv6" 2>/dev/null || :
	done
fi
ip link set lo up

end_vmm() {
	[ -z "$vmm_pid" ] || kill -KILL "$vmm_pid" 2>/dev/null || :
}
trap 'end_vmm; rm -rf "$tmp"' EXIT

# make_tap NAME NIC MTU: a TAP whose other end is 10.77.NIC.1.
make_tap() {
	ip tuntap add "$1" mode tap
	ip addr add "10.77.$2.1/24" dev "$1"
	ip link set "$1" mtu "$3" up
}

# vmm_start ARGUMENT...: the monitor in the background, in $vmm_pid, and waits for the guest's "ready".
# `launcher` may be set to a command that starts it.
launcher=()
vmm_start() {
	: >"$tmp/out"
	"${launcher[@]}" ./vmm "$@" >"$tmp/out" 2>"$tmp/err" </dev/null &
	vmm_pid=$!
	(wait_for "$tmp/out" ready) || { show; exit 1; }
}

# vmm_end IP: tells net_io.c to end, and takes the monitor's exit status.
vmm_end() {
	python3 $host command "$1" end
	vmm_wait
}

# Waits for the monitor's end; 10 s at most.
vmm_wait() {
	local i
	for ((i = 0; i < 500; i++)); do
		kill -0 "$vmm_pid" 2>/dev/null || break
		sleep 0.02
	done
	status=0
	[ $i -lt 500 ] || kill -KILL "$vmm_pid"
	wait "$vmm_pid" || status=$?
	vmm_pid=
}

# cpu_ticks: what the monitor's event loop has used of the CPU, in clock ticks (1/100 s).
cpu_ticks() {
	sed 's/.*) //' "/proc/$vmm_pid/task/$vmm_pid/stat" | awk '{ print $12 + $13 }'
}

# wake_ups: how often it has gone to sleep, and so has been woken.
wake_ups() {
	sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p' "/proc/$vmm_pid/task/$vmm_pid/status"
}
