#!/bin/bash
# SPDX-License-Identifier: MIT
# The Unix socket of a vsock: its mode, its end, a stale one, one on which somebody listens, an inherited one, and
# what is no place for one.
# shellcheck source=tests/guest/vsock_lib.bash
. "$(dirname "$0")/vsock_lib.bash"
need_kvm
vmm=(--kernel "$elf/vsock_io.elf")

# refused [STATUS] ERROR --vsock VALUE...
refused() {
	local expected=121
	[ ${#1} != 3 ] || { expected=$1; shift; }
	vmm_run "${vmm[@]}" "${@:2}"
	expect_status "$expected" "$1"
	expect_error "$1"
}

(umask 0 && ./vmm "${vmm[@]}" --vsock "cid=3,uds=$sock" >"$tmp/out" 2>"$tmp/err" </dev/null) &
wait_for "$tmp/out" ready
[ "$(stat -c '%F %a' "$sock")" = "socket 600" ] || die "the socket is $(stat -c '%F %a' "$sock")"
# A second monitor leaves it alone.
refused 122 "^vmm: --vsock uds=$sock: another process uses it" --vsock "cid=4,uds=$sock"
[ -S "$sock" ] || die "the refused monitor has removed the socket"
talk echo
talk end
wait
[ ! -e "$sock" ] || die "the socket is still there after the guest's end"

# A killed monitor leaves its socket, and the kernel keeps it listening for a moment.
for signal in TERM KILL KILL KILL KILL; do
	vmm_start "${vmm[@]}" --vsock "cid=3,uds=$sock"
	kill -$signal "$vmm_pid"
	vmm_wait
	[ "$status" != 0 ] || die "the monitor was not ended by SIG$signal"
	case $signal in
	TERM) [ ! -e "$sock" ] || die "the socket is still there after SIGTERM" ;;
	KILL) [ -S "$sock" ] || die "SIGKILL left no socket: the test is wrong" ;;
	esac
done
vmm_start "${vmm[@]}" --vsock "cid=3,uds=$sock"
talk dialect
# Not removed if it is not ours any more.
rm "$sock"
echo mine >"$sock"
kill -TERM "$vmm_pid"
vmm_wait
[ "$(cat "$sock")" = mine ] || die "the monitor has removed what was not its own"

refused "^vmm: --vsock uds=$sock: the path exists and is no socket" --vsock "cid=3,uds=$sock"
refused "^vmm: --vsock uds=$tmp/no/v: No such file or directory" --vsock "cid=3,uds=$tmp/no/v"
refused '^vmm: --vsock uds=x*: expected a path of 1 to 96 bytes' --vsock "cid=3,uds=$(printf 'x%.0s' {1..97})"
refused '^vmm: --vsock cid=2: expected 3 to 4294967294' --vsock "cid=2,uds=$sock"
refused '^vmm: --vsock: expected cid=N and uds=PATH, uds-fd=N or connect-fd=N' --vsock cid=3
refused '^vmm: --vsock uds-fd=77: Bad file descriptor' --vsock cid=3,uds-fd=77
refused '^vmm: --vsock uds-fd=9: expected a listening Unix stream socket' --vsock cid=3,uds-fd=9 9<"$sock"
[ "$(cat "$sock")" = mine ] || die "a refused monitor has changed the file"
rm "$sock"

# An inherited socket belongs to who made it; with a path the guest can connect, too.
launcher=(python3 $host with-listener 9 "$sock" --)
vmm_start "${vmm[@]}" --vsock "cid=5,uds-fd=9,uds=$sock"
talk echo
talk from_guest
talk end
vmm_wait
expect_status 0
expect_no_errors
[ -S "$sock" ] || die "the inherited socket was removed"
rm "$sock"
# It may be non-blocking, for others who share it, and it stays so.
launcher=(python3 $host with-non-blocking-listener 9 "$sock" --)
vmm_start "${vmm[@]}" --vsock cid=5,uds-fd=9
flags=$(sed -n 's/^flags:\t*//p' "/proc/$vmm_pid/fdinfo/9")
(($((8#$flags)) & 8#4000)) || die "the inherited socket has lost O_NONBLOCK: 0$flags"
talk echo
talk end
vmm_wait
expect_status 0
expect_no_errors
