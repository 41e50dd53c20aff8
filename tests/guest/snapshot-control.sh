#!/bin/bash
# SPDX-License-Identifier: MIT
# Snapshots that the control socket asks for: the VM goes on, or ends; twice to one name, to other names, while paused, of a VM that has no
# --snapshot, of one whose console nobody reads; and the event.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

start() { # OPTION...: a guest that counts; $vmm_pid
	: >"$tmp/guest"
	timeout -s KILL 60 ./vmm --kernel "$elf/control.elf" --cmdline button --control "$tmp/c" "$@" >"$tmp/guest" 2>"$tmp/err" 8>"$tmp/events" &
	vmm_pid=$!
	wait_for "$tmp/guest" 1
}

# ctl STATUS TEXT REQUEST
ctl() {
	status=0
	timeout -s KILL 20 ./vmm ctl "$tmp/c" "$3" >"$tmp/out" || status=$?
	expect_status "$1" "ctl $3"
	grep -qF -- "$2" "$tmp/out" || { show; die "ctl $3: no $2"; }
}

# goes_on: it counts further.
goes_on() {
	local lines i
	lines=$(wc -l <"$tmp/guest")
	for ((i = 0; i < 250; i++)); do
		[ "$(wc -l <"$tmp/guest")" -le $((lines + 2)) ] || return 0
		sleep 0.02
	done
	die "the guest stands still"
}

start
ctl 1 'the VM was started without --snapshot' snapshot
ctl 1 'the VM was started without --snapshot' 'snapshot-continue x'
goes_on
ctl 0 true stop
wait $vmm_pid || :

start --snapshot "$tmp/snap" --events-fd 8
ctl 0 '{"ok":true}' snapshot-continue
[ -e "$tmp/snap" ] || die "there is no snap"
goes_on
ctl 1 'File exists' snapshot-continue
goes_on
ctl 0 '{"ok":true}' 'snapshot-continue second'
ctl 1 "expected a name in the folder of --snapshot's file" 'snapshot-continue ../up'
ctl 1 "expected a name" 'snapshot-continue '
ctl 1 'expected ping' 'snapshots'
goes_on
ctl 0 true pause
ctl 0 true 'snapshot-continue third'
ctl 0 '"state":"paused"' stat
ctl 0 true resume
goes_on
ctl 0 true 'snapshot fourth'
status=0
wait $vmm_pid || status=$?
expect_status 0 "snapshot"
[ "$(grep -c '"event":"snapshot"' "$tmp/events")" = 4 ] || { cat "$tmp/events"; die "expected 4 events"; }

# A full disk: no file is left, and the VM goes on.
mkdir "$tmp/small"
if mount -t tmpfs -o size=64k small "$tmp/small" 2>/dev/null; then
	at_exit umount "$tmp/small"
	start --snapshot "$tmp/small/snap"
	for request in snapshot snapshot-continue; do
		ctl 1 'No space left on device' $request
		[ -z "$(ls "$tmp/small")" ] || die "$request: a file is left"
		goes_on
	done
	ctl 0 true stop
	wait $vmm_pid || :
fi

# Each goes on from its own moment, perhaps within a line.
for name in snap second third fourth; do
	: >"$tmp/guest"
	timeout -s KILL 60 ./vmm --restore "$tmp/$name" --control "$tmp/c" >"$tmp/guest" 2>"$tmp/err" &
	vmm_pid=$!
	for ((i = 0; i < 250; i++)); do [ "$(wc -l <"$tmp/guest")" -lt 5 ] || break; sleep 0.02; done
	ctl 0 true stop
	wait $vmm_pid || :
	first=$(sed -n 2p "$tmp/guest")
	[ $((16#$first)) -gt 0 ] || die "$name begins with '$first'"
	awk -v first=$((16#$first)) 'BEGIN { for (i = 0; i < 3; i++) printf "%x\n", first + i }' | cmp -s - <(sed -n 2,4p "$tmp/guest") ||
		{ show; die "$name: a hole"; }
done

# Nobody reads the console: the snapshot waits for that in vain, and the VM goes on when somebody does.
mkfifo "$tmp/console"
exec 9<>"$tmp/console"
python3 -c 'import fcntl; fcntl.fcntl(9, fcntl.F_SETPIPE_SZ, 4096)'
timeout -s KILL 60 ./vmm --kernel "$elf/serial_flood.elf" --cmdline bytes=30000 --control "$tmp/c" --snapshot "$tmp/stalled" >"$tmp/console" 2>"$tmp/err" &
vmm_pid=$!
for ((i = 0; i < 250; i++)); do [ ! -e "$tmp/c" ] || break; sleep 0.02; done
was='' now=0
until [ "$now" != 0 ] && [ "$was" = "$now" ]; do
	sleep 1
	was=$now now=$(./vmm ctl "$tmp/c" stat | sed 's/.*"port":\([0-9]*\).*/\1/')
done
ctl 1 '--serial has not come to rest within 5 s' snapshot
[ ! -e "$tmp/stalled" ] || die "a file is left"
cat <&9 >"$tmp/guest" &
status=0
wait $vmm_pid || status=$?
expect_status 0 "after a refused snapshot"
