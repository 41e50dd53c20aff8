#!/bin/bash
# SPDX-License-Identifier: MIT
# All that a guest prints arrives, whoever reads it: a quick reader, a slow one, one that goes away.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

bytes=$(scaled 10485760 2)
flood_bytes "$bytes" >"$tmp/expected"
flood=(--kernel "$elf/serial_flood.elf" --cmdline "bytes=$bytes")

vmm_run "${flood[@]}"
expect_status 0
cmp "$tmp/expected" "$tmp/out" || die "$bytes bytes to a file: not what the guest printed"

timeout -s KILL 30 ./vmm "${flood[@]}" | cat >"$tmp/out"
cmp "$tmp/expected" "$tmp/out" || die "$bytes bytes to a pipe: not what the guest printed"

# The first second nobody reads; the monitor must hold the guest or the bytes, and end only when they are
# delivered.
timeout -s KILL 30 ./vmm "${flood[@]}" | {
	sleep 1
	cat
} >"$tmp/out"
cmp "$tmp/expected" "$tmp/out" || die "$bytes bytes to a slow reader: not what the guest printed"

# The reader goes away: no SIGPIPE, and the guest still ends the VM by its reset.
{
	status=0
	timeout -s KILL 30 ./vmm "${flood[@]}" 2>"$tmp/err" || status=$?
	echo "$status" >"$tmp/status"
} | head -c 64 >/dev/null
[ "$(cat "$tmp/status")" = 0 ] || die "stdout closed early: exit status $(cat "$tmp/status")"
expect_no_errors

if [ -c /dev/full ]; then
	status=0
	timeout -s KILL 30 ./vmm "${flood[@]}" 2>"$tmp/err" >/dev/full || status=$?
	expect_status 0 "stdout is full"
	sed '2!d' "$tmp/err" >"$tmp/lost"
	sed -i 2d "$tmp/err"
	expect_error 'console: cannot write: .*[Nn]o space'
	grep -qE "^vmm: console: the guest's last [0-9]+ bytes are lost: they could not be written" "$tmp/lost" ||
		die "what is lost is not told: $(cat "$tmp/lost")"
fi
