# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# For the vsock tests, after lib.sh: one VM with a vsock, vsock_peer on both sides, and a shell in the guest
# that is reached over the vsock itself.
command -v socat >/dev/null || fail "socat is missing (make deps-test)"
uds=$work/v.sock
peer=$repo/build/tests/linux/vsock_peer
[ -x "$peer" ] || fail "$peer is not built (make test-programs)"

# Boots the guest with the servers of both sides, and waits for them.
vsock_vm_start() { # NAME [VMM OPTION...]
	local name=$1 root end=$((SECONDS + 60))
	shift
	root=$(image_copy "$name")
	image_put "$root" "$peer" /bin/vsock_peer
	guest_script "$root" <<-'GUEST'
		vsock_peer guest serve >/run/served &
		vsock listen 999 sh
	GUEST
	host_serve
	vm_start "$name" --kernel "$(guest_file vmlinux)" --rootfs "$root" \
		--vsock "cid=3,uds=$uds" --cmdline "$run_script" "$@" </dev/null
	until [ "$(in_guest echo ready)" = ready ]; do
		[ $SECONDS -lt $end ] || fail "the guest's shell does not answer"
		kill -0 "$vm_pid" 2>/dev/null || fail "the VM ended early"
		sleep 0.1
	done
}

# As wait_for_text, whether or not there is a VM.
wait_for_line() { # FILE TEXT
	local i
	for ((i = 0; i < 600; i++)); do
		! grep -qF -- "$2" "$1" || return 0
		sleep 0.05
	done
	fail "no '$2' in ${1##*/}"
}

host_serve() {
	"$peer" "$uds" serve >"$work/served" &
	server_pid=$!
	child_pids+=("$server_pid")
	wait_for_line "$work/served" serving
}

# Runs a shell command in the guest over the vsock; prints what it prints.
in_guest() { # COMMAND...
	printf 'CONNECT 999\n%s\n' "exec 2>&1; $*" | timeout 120 socat -t 120 - "UNIX-CONNECT:$uds" 2>/dev/null |
		sed -u '1{/^OK /d}'
}

# A client with a name for the output; it must do what it should. Its line is in $line.
from_host() { # WHAT ARGUMENT...
	local what=$1
	shift
	line=$("$peer" "$uds" "$@" | tail -n 1) || fail "$what, from the host: $line"
	echo "host to guest, $what: $line"
}

from_guest() { # WHAT ARGUMENT...
	local what=$1
	shift
	line=$(in_guest "vsock_peer guest $* && echo good" | tail -n 2)
	[ "${line##*$'\n'}" = good ] || fail "$what, from the guest: $line"
	line=${line%$'\n'*}
	echo "guest to host, $what: $line"
}

# KiB of the monitor in memory, without the guest's 128 MiB.
monitor_kib() {
	awk '/^[0-9a-f]+-/ { guest = 0 } /^Size:/ { guest = $2 == 131072 } /^Rss:/ && !guest { sum += $2 }
		END { print sum }' "/proc/$vm_pid/smaps"
}

# From now on the monitor's memory is sampled. A connection may hold what its reader has not taken, 128 KiB
# at most; what is kept besides that, and at rest, is the same for 1 connection and for 10,000.
memory_watch() {
	base_kib=$(monitor_kib)
	while monitor_kib; do read -rt 1 <>"$work/never" || :; done >"$work/memory" 2>/dev/null &
	sampler_pid=$!
	child_pids+=("$sampler_pid")
}

memory_check() { # WHAT KIB: what all connections together may hold
	local peak rest
	peak=$(sort -n "$work/memory" | tail -n 1)
	: >"$work/memory"
	for ((i = 0; i < 50; i++)); do
		rest=$(monitor_kib)
		[ "$rest" -gt $((base_kib + 4096)) ] || break
		sleep 0.1
	done
	expect_range "KiB of the monitor after: $1" "$rest" 1 $((base_kib + 4096))
	expect_range "KiB of the monitor during: $1" "${peak:-$rest}" 1 $((base_kib + 4096 + $2))
	echo "memory of the monitor, $1: ${peak:-?} KiB at most, $rest at rest, $base_kib before"
}

# Ends the VM; both sides' servers have seen nothing wrong.
vsock_vm_end() {
	local guest_served
	kill "$server_pid"
	wait "$server_pid" || fail "the host's server: $(cat "$work/served")"
	guest_served=$(in_guest 'killall vsock_peer; sleep 1; tail -n 1 /run/served')
	case $guest_served in *" wrong 0") ;; *) fail "the guest's server: $guest_served" ;; esac
	in_guest 'kill -TERM 1' >/dev/null
	vm_wait
	expect_status 0
	wait "$sampler_pid" || : # it ends with the VM
}
