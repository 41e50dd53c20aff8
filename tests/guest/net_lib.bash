# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For the tests of net: `. "$(dirname "$0")/net_lib.bash"` first of all. Starts the test again in a network
# namespace of its own, which ends with it; then does what lib.sh and background.bash do.
if [ "${NET_NAMESPACE-}" != yes ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "a network namespace with a TAP needs root"
		exit 77
	fi
	if ! command -v ip >/dev/null; then
		echo "there is no ip (package iproute2)"
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
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=tests/guest/background.bash
. "$(dirname "${BASH_SOURCE[0]}")/background.bash"
host=tests/guest/net_host.py

# No router solicitations and the like between the frames of the tests.
if [ -e /proc/sys/net/ipv6/conf/default/disable_ipv6 ]; then
	for word in all default; do
		echo 1 >"/proc/sys/net/ipv6/conf/$word/disable_ipv6" 2>/dev/null || :
	done
fi
ip link set lo up

# make_tap NAME NIC MTU: a TAP whose other end is 10.77.NIC.1.
make_tap() {
	ip tuntap add "$1" mode tap
	ip addr add "10.77.$2.1/24" dev "$1"
	ip link set "$1" mtu "$3" up
}

# A launcher's TAP descriptor needs O_NONBLOCK here: before Linux 6.4 a TUN does not know RWF_NOWAIT.
if printf '%s\n' 6.4 "$(uname -r)" | sort -CV; then fd_flags=(no_pi vnet_hdr); else fd_flags=(no_pi vnet_hdr nonblock); fi

# vmm_end IP: tells net_io.c to end, and takes the monitor's exit status.
vmm_end() {
	python3 $host command "$1" end
	vmm_wait
}
