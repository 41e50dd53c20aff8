#!/bin/bash
# SPDX-License-Identifier: MIT
# Linux's own tools/testing/vsock/vsock_test against the monitor: the guest's side runs as it is, the host's
# over vsock_bridge.c. Both roles, in one boot.
. "$(dirname "$0")/lib.sh"

bin=$repo/build/tests/linux
for side in host guest; do
	[ -x "$bin/vsock_test-$side" ] || fail "vsock_test-$side is not built (make test-programs)"
done
export VSOCK_PATH=$work/v.sock

# Tests that cannot apply when the host has this role, with the reason; numbers and names are vsock_test's.
not_applicable() { # client|server
	local streams_only="the device offers streams, not VIRTIO_VSOCK_F_SEQPACKET"
	cat <<-LIST
		6	SOCK_SEQPACKET msg bounds: $streams_only
		7	SOCK_SEQPACKET MSG_TRUNC flag: $streams_only
		8	SOCK_SEQPACKET timeout: $streams_only
		9	SOCK_SEQPACKET invalid receive buffer: $streams_only
	LIST
	[ "$1" = server ] ||
		echo "10	SOCK_STREAM poll() + SO_RCVLOWAT: tests the client's socket, here a Unix socket without SO_RCVLOWAT"
}

skips() { # client|server: the options
	not_applicable "$1" | sed 's/\t.*//; s/^/--skip=/' | tr '\n' ' '
}

# All tests of the program have been run, and passed unless they are in the list.
expect_all() { # client|server FILE
	local number name result list
	list=$(not_applicable "$1")
	expect_text "$2" "All tests have been executed. Waiting other peer...ok"
	while IFS=$'\t' read -r number name; do
		result=ok
		[[ $list != *"$number	$name: "* ]] || result=skipped
		grep -qxF "$number - $name...$result" "$2" || fail "${2##*/}: $name: not '$result'"
	done < <("$bin/vsock_test-host" --list 2>&1 | sed 1d)
	echo "host as $1: $(grep -c '^[0-9].*\.\.\.ok$' "$2") passed; not applicable:"
	sed 's/^[0-9]*\t/    /' <<<"$list"
}

root=$(image_copy root)
image_put "$root" "$bin/vsock_test-guest" /bin/vsock_test
guest_script "$root" <<-GUEST
	vsock_test --mode=server --control-port=7001 --peer-cid=2 $(skips client) >/out/server 2>&1 || failed server
	vsock_test --mode=client --control-host=127.0.0.1 --control-port=7002 --peer-cid=2 $(skips server) \
		>/out/client 2>&1 || failed client
	report done
GUEST
vm_start kernel --kernel "$(guest_file vmlinux)" --rootfs "$root" --vsock "cid=3,uds=$VSOCK_PATH" \
	--cmdline "$run_script" </dev/null
for ((i = 0; i < 100; i++)); do
	[ ! -S "$VSOCK_PATH" ] || break
	sleep 0.1
done
# shellcheck disable=SC2046
timeout 60 "$bin/vsock_test-host" --mode=client --control-host=127.0.0.1 --control-port=7001 --peer-cid=3 \
	$(skips client) >"$work/client" 2>&1 || echo "host's client: exit status $?" >>"$work/client"
# shellcheck disable=SC2046
timeout 60 "$bin/vsock_test-host" --mode=server --control-port=7002 --peer-cid=3 \
	$(skips server) >"$work/server" 2>&1 || echo "host's server: exit status $?" >>"$work/server"
vm_wait
expect_status 0
expect_empty "$work/kernel.err"
for side in server client; do
	echo "--- guest as $side" >>"$work/kernel.out"
	image_get "$root" "/out/$side" >>"$work/kernel.out" || :
	echo "--- host as $side" >>"$work/kernel.out"
	cat "$work/$side" >>"$work/kernel.out"
done
expect_all client "$work/client"
expect_all server "$work/server"
read_report "$root"
passed "$elapsed_ms ms"
