#!/bin/bash
# SPDX-License-Identifier: MIT
# A monitor that waits for its order, with the few system calls of a vCPU's thread: signals that end it, that are ignored, or stop it; and
# the end of its lifeline. The event loop's thread ends the process then, and removes its socket.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
vmm_run --kernel "$elf/snapshot.elf" --snapshot "$tmp/file"
expect_status 0

# waits [OPTION...]: it waits then; its order goes to 7, and 5 is its lifeline's other end.
waits() {
	rm -f "$tmp/order" "$tmp/life" && mkfifo "$tmp/order" "$tmp/life"
	# shellcheck disable=SC2094
	exec 7<>"$tmp/order" 5<>"$tmp/life" 6<"$tmp/life" 5>&- 5>"$tmp/life"
	./vmm --restore "$tmp/file" --start-fd 8 --lifeline-fd 6 --control "$tmp/c" --status-fd 9 "$@" 8<"$tmp/order" \
		9>"$tmp/status" 5>&- 7>&- >"$tmp/out" 2>"$tmp/err" &
	exec 6<&-
	for ((i = 0; i < 250; i++)); do
		[ ! -S "$tmp/c" ] || break
		sleep 0.02
	done
	sleep 0.2
}

# ends STATUS WHAT [OUTPUT]
ends() {
	status=0
	wait $! || status=$?
	expect_status "$1" "$2"
	expect_no_errors
	[ "$(cat "$tmp/out")" = "${3-}" ] || die "$2: it prints $(cat "$tmp/out")"
	[ ! -e "$tmp/c" ] || die "$2: its socket is left"
	grep -qx "{.*\"exit_code\":$1\b.*}" "$tmp/status" || die "$2: the status line is $(cat "$tmp/status")"
}
all_ok=$(printf '%s ok\n' memory registers fpu)

for signal in TERM HUP USR2; do
	waits
	kill -$signal $!
	ends $((128 + $(kill -l $signal))) "SIG$signal"
done

trap '' HUP
waits
kill -HUP $!
sleep 0.2
echo go >&7
ends 0 "SIGHUP, ignored" "$all_ok"
trap - HUP

waits
for _ in 1 2 3; do
	kill -STOP $!
	sleep 0.05
	kill -CONT $!
	sleep 0.05
done
echo go >&7
ends 0 "stopped and continued" "$all_ok"

waits
exec 5>&-
ends 143 "the end of the lifeline"

# --sandbox off has the same ways.
waits --sandbox off
kill $!
status=0
wait $! || status=$?
expect_status 143 "--sandbox off"
[ ! -e "$tmp/c" ] || die "--sandbox off: its socket is left"
