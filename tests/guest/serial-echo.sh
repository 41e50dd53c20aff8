#!/bin/bash
# SPDX-License-Identifier: MIT
# Every byte of stdin arrives at the guest once and in order, and comes back: by interrupts (receive and
# transmit) and polled; from a file, a pipe and a writer that dribbles.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

bytes=$(scaled 102400 1)
[ "$bytes" -gt 512 ] || bytes=512
# All byte values, a Ctrl-a x among them: an escape only on a terminal.
{
	printf 'begin\001xend'
	head -c "$bytes" /dev/urandom
} | head -c "$bytes" >"$tmp/in"
{
	cat "$tmp/in"
	echo "interrupts ok"
} >"$tmp/expected"

expect_echo() {
	expect_status 0 "$2"
	cmp "$1" "$tmp/out" || die "$2: the echo differs ($bytes bytes)"
	expect_no_errors
}

echo_guest=(--kernel "$elf/serial_echo.elf" --cmdline)
vmm_run "${echo_guest[@]}" "bytes=$bytes" <"$tmp/in"
expect_echo "$tmp/expected" "by interrupt, from a file"

vmm_run "${echo_guest[@]}" "bytes=$bytes polled" < <(cat "$tmp/in")
expect_echo "$tmp/in" "polled, from a pipe"

dribble() {
	local i
	for ((i = 0; i < 512; i += 32)); do
		dd if="$tmp/in" bs=1 skip=$i count=32 status=none
		sleep 0.01
	done
}
bytes=512
{
	head -c 512 "$tmp/in"
	echo "interrupts ok"
} >"$tmp/expected"
vmm_run "${echo_guest[@]}" "bytes=512" < <(dribble)
expect_echo "$tmp/expected" "a writer that dribbles"
