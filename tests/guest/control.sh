#!/bin/bash
# SPDX-License-Identifier: MIT
# --control: every request, pauses that stop every vCPU and lose nothing, ends while paused, clients that vanish, that are too
# many or talk nonsense; and `vmm ctl`.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
timeout -s KILL 200 python3 tests/guest/control.py "$elf/control.elf" "$elf/end.elf" "$tmp" || die "control.py"

# ctl STATUS REGEX ARGUMENT...: of either output.
ctl() {
	status=0
	timeout -s KILL 20 ./vmm ctl "${@:3}" >"$tmp/out" 2>"$tmp/err" || status=$?
	expect_status "$1" "ctl ${*:3}"
	if [ -s "$tmp/err" ]; then expect_error "$2"; else grep -qE "$2" "$tmp/out" || { show; die "ctl ${*:3}: no $2"; }; fi
}
timeout -s KILL 60 ./vmm --kernel "$elf/control.elf" --control "$tmp/c" >"$tmp/guest" &
vmm_pid=$!
wait_for "$tmp/guest" 1
ctl 0 '^\{"ok":true\}$' "$tmp/c" ping
ctl 0 '^\{"ok":true,"state":"running",.*\}$' "$tmp/c" stat
ctl 1 '^\{"ok":false,"error":"expected ping' "$tmp/c" nonsense
ctl 121 'ctl: expected a path and a request: vmm ctl PATH REQUEST'
ctl 121 'ctl: expected a path and a request' "$tmp/c"
ctl 121 'ctl: expected a path and a request' "$tmp/c" ping more
ctl 121 'expected a request of one line' "$tmp/c" ''
ctl 121 'expected a request of one line' "$tmp/c" $'ping\npause'
ctl 121 "ctl $tmp/none: No such file or directory" "$tmp/none" ping
ctl 121 "ctl $tmp/guest: this is no socket" "$tmp/guest" ping
ctl 121 "ctl $tmp: this is no socket" "$tmp" ping
ctl 121 'the path is longer than 107 bytes' "$(printf '%0200d' 0)" ping
ctl 0 'true' "$tmp/c" stop
status=0
wait $vmm_pid || status=$?
expect_status 143 stop
[ ! -e "$tmp/c" ] || die "the socket is left"
python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$tmp/c"
ctl 122 "ctl $tmp/c: no VM listens there any more" "$tmp/c" ping
# A VM that hangs up.
timeout -s KILL 20 python3 -c 'import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listens", flush=True)
listener.accept()[0].recv(5)' "$tmp/d" >"$tmp/fake" &
wait_for "$tmp/fake" listens
ctl 122 "ctl $tmp/d: the VM has ended without an answer" "$tmp/d" ping
wait $!

# A monitor that a guest has broken into says nothing to the terminal of whoever asks it.
python3 -c 'import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listens", flush=True)
listener.accept()[0].sendall(b"{\"ok\":true,\"a\":\"\x1b]0;x\x07\x7f\xc3\xa4\"}\n")' "$tmp/e" >"$tmp/rude" &
wait_for "$tmp/rude" listens
ctl 0 '^\{"ok":true,"a":"\?\]0;x\?\?ä"\}$' "$tmp/e" ping
wait $!

# refused STATUS REGEX ARGUMENT...
refused() {
	vmm_run --kernel "$elf/hello.elf" "${@:3}"
	expect_status "$1" "${*:3}"
	expect_error "$2"
}
refused 121 "--control $tmp/guest: the path exists and is no socket" --control "$tmp/guest"
refused 121 '--control .*: the path is longer than 107 bytes' --control "$(printf '%0200d' 0)"
# Either of the two is the second.
refused 121 "^vmm: (--control|--vsock uds=).*/v: another option has this path" --control "$tmp/../${tmp##*/}/v" --vsock "cid=3,uds=$tmp/v"
refused 121 "--control $tmp/v_7: expected a path that is not the --vsock's PATH_PORT: the guest would reach it" \
	--control "$tmp/v_7" --vsock "cid=3,uds=$tmp/v"
refused 121 '--control fd=9: expected a listening or connected Unix stream socket' --control fd=9 9</dev/null
refused 121 '--control fd=9: Bad file descriptor' --control fd=9
refused 121 '--control fd=2: expected a descriptor number from 3' --control fd=2
refused 121 '--control: expected a value, got an empty string' --control=
refused 121 '--control is given twice' --control a --control b
refused 121 '--control fd=9: descriptor 9 is given twice, also as --status-fd 9' --control fd=9 --status-fd 9 9>/dev/null
# A stale socket is replaced, one beside the vsock's is removed as well.
vmm_run --kernel "$elf/hello.elf" --control "$tmp/c" --vsock "cid=3,uds=$tmp/v"
expect_status 0 "a stale socket"
expect_no_errors
[ ! -e "$tmp/c" ] || die "the socket is left"
[ ! -e "$tmp/v" ] || die "the socket of the vsock is left"
