# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# For the tests of hostile guests: `. "$(dirname "$0")/hostile_lib.bash"` first of all. With a TAP in a network namespace
# of the test's own where that can be had, else without the cases of net.
if [ "${NET_NAMESPACE-}" != yes ] && [ "$(id -u)" = 0 ] && command -v ip >/dev/null && [ -c /dev/net/tun ] &&
	unshare --net true 2>/dev/null; then
	NET_NAMESPACE=yes exec unshare --net -- "$0" "$@"
fi
if [ "${NET_NAMESPACE-}" = yes ]; then
	# shellcheck source=tests/guest/net_lib.bash
	. "$(dirname "${BASH_SOURCE[0]}")/net_lib.bash"
	make_tap vmtap0 0 1500
	export HOSTILE_TAP=vmtap0
else
	# shellcheck source=tests/guest/lib.sh
	. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
fi
need_kvm
export MONITOR="${monitor[*]}" PYTHONDONTWRITEBYTECODE=1

# hostile SUITE... [-- OPTION...]: all cases of the suites, of which each is a file in tests/guest/hostile. `launcher` may be
# set to a command that starts the whole.
launcher=()
hostile() {
	local directory
	directory=$(mktemp -d "$tmp/XXXXXX")
	timeout -s KILL "${TIME_LIMIT:-200}" "${launcher[@]}" python3 tests/guest/hostile_host.py "$directory" "$@" || exit 1
}
