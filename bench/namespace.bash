# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For benches whose VMs have TAPs, after lib.bash: a network namespace of their own, which ends with them.

# enter_namespace ARGUMENT...: runs the bench again, with these arguments, in its own network namespace, and ends as
# it does; returns when it is in there already. Without root, as root of a user namespace.
enter_namespace() {
	local user=() status=0
	if [ "${BENCH_NAMESPACE-}" = yes ]; then
		unset BENCH_NAMESPACE
		return
	fi
	{ : <>/dev/kvm; } 2>/dev/null || die "there is no /dev/kvm, or no permission for it"
	{ : <>/dev/net/tun; } 2>/dev/null || die "there is no /dev/net/tun, or no permission for it"
	command -v ip >/dev/null || die "there is no ip (make deps-bench)"
	[ "$(id -u)" = 0 ] || user=(--user --map-root-user)
	unshare "${user[@]}" --net true 2>/dev/null || die "no network namespaces here"
	# Not exec: the scratch directory is removed here.
	BENCH_NAMESPACE=yes unshare "${user[@]}" --net -- "$0" "$@" || status=$?
	exit "$status"
}

# make_taps FIRST LAST PREFIX: the TAPs PREFIX<FIRST> to PREFIX<LAST>, up.
make_taps() {
	local i
	for ((i = $1; i <= $2; i++)); do
		echo "tuntap add $3$i mode tap"
		echo "link set $3$i up"
	done | ip -batch - || die "cannot make a TAP"
}
