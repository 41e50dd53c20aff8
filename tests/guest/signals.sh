#!/bin/bash
# SPDX-License-Identifier: MIT
# SIGTERM, SIGINT, SIGHUP and SIGQUIT end a running guest within 1 s with 128 + N: one that halts with
# interrupts off, one that spins, one whose output nobody reads. A second signal changes nothing.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

# Job control gives the monitor its default signals: a shell without it starts jobs with SIGINT ignored.
set -m

# The promise is 1 s; on a machine with more work than processors everything takes longer.
limit_ms=$(awk -v cpus="$(nproc)" '{ print int(1000 * ($1 > cpus ? $1 / cpus : 1)) }' /proc/loadavg)

# start_guest WORD: runs it in the background as $pid, until it has printed.
start_guest() {
	: >"$tmp/out" # an earlier guest's "running" must not count
	./vmm --kernel "$elf/end.elf" --cmdline "$1" >"$tmp/out" 2>"$tmp/err" </dev/null &
	pid=$!
	wait_for "$tmp/out" running
}

# expect_end STATUS WHAT [ERROR]: the monitor $pid ends so, 1 s after $start_ms at the latest, and says nothing else.
expect_end() {
	local took status=0
	wait "$pid" 2>/dev/null || status=$?
	took=$(($(now_ms) - start_ms))
	[ "$status" = "$1" ] || { show; die "$2: exit status $status, expected $1"; }
	[ "$took" -le "$limit_ms" ] || die "$2: it took $took ms"
	if [ $# -gt 2 ]; then
		expect_error "$3"
	else
		[ ! -s "$tmp/err" ] || { show; die "$2: stderr is not empty"; }
	fi
}

for guest in halt spin; do
	for signal in TERM:143 INT:130 HUP:129 QUIT:131; do
		start_guest $guest
		start_ms=$(now_ms)
		kill -"${signal%:*}" "$pid"
		expect_end "${signal#*:}" "SIG${signal%:*} with a guest in $guest"
	done
done

# More signals, while the first is still at work. Of those that wait together the kernel hands out the lowest
# number first, so SIGHUP may come before SIGINT.
start_guest spin
start_ms=$(now_ms)
kill -INT "$pid"
for signal in INT TERM TERM HUP TERM QUIT; do kill -$signal "$pid" 2>/dev/null || break; done
status=0
wait "$pid" 2>/dev/null || status=$?
[ "$status" = 130 ] || [ "$status" = 129 ] || { show; die "many signals: exit status $status, expected 130 or 129"; }
[ $(($(now_ms) - start_ms)) -le "$limit_ms" ] || die "many signals: it took more than $limit_ms ms"

# An ignored signal stays ignored (nohup).
: >"$tmp/out"
(
	trap '' HUP
	exec ./vmm --kernel "$elf/end.elf" --cmdline spin
) >"$tmp/out" 2>"$tmp/err" </dev/null &
pid=$!
wait_for "$tmp/out" running
kill -HUP "$pid"
sleep 0.3
kill -0 "$pid" || die "a SIGHUP that the launcher ignores ended the monitor"
start_ms=$(now_ms)
kill -TERM "$pid"
expect_end 143 "SIGTERM after an ignored SIGHUP"

# The console's reader hangs: its pipe is full and so is the monitor's buffer.
mkfifo "$tmp/pipe"
exec 7<>"$tmp/pipe"
head -c 65536 /dev/zero >&7
./vmm --kernel "$elf/end.elf" --cmdline flood >&7 2>"$tmp/err" </dev/null &
pid=$!
sleep 2
start_ms=$(now_ms)
kill -TERM "$pid"
expect_end 143 "SIGTERM while nobody reads the console" 'the reader is stalled$'
