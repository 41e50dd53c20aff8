#!/bin/bash
# SPDX-License-Identifier: MIT
# A vsock and snapshots: a connection ends with its monitor, and the guest's listeners serve on in the clone, and in the clone of that one;
# and at random moments while programs talk all the time. SNAPSHOTS: how many of these (default 12); SEED.
# shellcheck source=tests/guest/vsock_lib.bash
. "$(dirname "$0")/vsock_lib.bash"
need_kvm
[ ${#monitor[@]} = 1 ] || skip "the monitor is another's"

hold() { # a program that waits for the end of its connection
	python3 - "$sock" <<-END
		import socket, sys
		with socket.socket(socket.AF_UNIX) as s:
		    s.settimeout(60)
		    s.connect(sys.argv[1])
		    s.sendall(b"CONNECT 5000\n")
		    assert s.recv(100).startswith(b"OK ")
		    s.sendall(b"echo")
		    assert s.recv(100) == b"echo"
		    print("holds", flush=True)
		    try:
		        rest = s.recv(100)
		    except ConnectionResetError:
		        rest = b""
		    assert rest == b"", rest
		    print("over", flush=True)
	END
}

next_snapshot() { # FILE
	: >"$tmp/hold"
	hold >"$tmp/hold" &
	wait_for "$tmp/hold" holds
	[ "$(./vmm ctl "$tmp/ctl" "snapshot $1")" = '{"ok":true}' ] || die "no snapshot"
	vmm_wait
	expect_status 0
	wait_for "$tmp/hold" over
}

restore() { # FILE
	"${monitor[@]}" --restore "$tmp/$1" --vsock "cid=42,uds=$sock" --control "$tmp/ctl" --snapshot "$tmp/never" \
		>"$tmp/out" 2>"$tmp/err" </dev/null &
	vmm_pid=$!
	for ((i = 0; i < 250; i++)); do
		! ./vmm ctl "$tmp/ctl" ping >/dev/null 2>&1 || return 0
		sleep 0.02
	done
	die "the clone does not answer"
}

vmm_start --kernel "$elf/vsock_io.elf" --vsock "cid=42,uds=$sock" --control "$tmp/ctl" --snapshot "$tmp/never"
next_snapshot one
restore one
talk echo
next_snapshot two
restore two
for name in echo from_guest half_close; do talk $name; done
talk end
vmm_wait
expect_status 0
expect_no_errors
! grep FAILED "$tmp/out" || die "the guest's checks"

mkdir "$tmp/chain"
timeout -s KILL 250 tests/guest/snapshot_vsock.py "$tmp/chain" "${SNAPSHOTS:-12}" "${SEED:-$((RANDOM * RANDOM))}" -- "${monitor[@]}" ||
	die "snapshot_vsock.py"
