# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For the tests of this folder: `. "$(dirname "$0")/lib.sh"`. Leaves the shell in the tree's root with a
# scratch directory $tmp that is removed at the end, ./vmm and the guests' $elf/NAME.elf built.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck disable=SC2034 # for the tests
elf=build/tests/guest
tmp=$(mktemp -d)
declare -a exit_commands=()

at_exit() { # COMMAND...: run at the end, the last one given first
	exit_commands+=("$(printf '%q ' "$@")")
}

# Background jobs are killed: a guest may be one that never ends.
clean_up() {
	local i
	# shellcheck disable=SC2046
	kill -KILL $(jobs -p) 2>/dev/null || :
	wait
	for ((i = ${#exit_commands[@]} - 1; i >= 0; i--)); do
		eval "${exit_commands[i]}" >/dev/null 2>&1 || :
	done
	rm -rf "$tmp"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

skip() {
	echo "$*"
	exit 77
}

die() {
	echo "FAILED: $*"
	exit 1
}

[ -x ./vmm ] || die "there is no ./vmm (make)"
[ -e "$elf/hello.elf" ] || make -s -f tests/guest/guests.mk guests

need_kvm() {
	[ -e /dev/kvm ] || skip "there is no /dev/kvm"
	{ : <>/dev/kvm; } 2>/dev/null || skip "no permission for /dev/kvm"
}

# tests/tsan/guests.sh has another build of the monitor tested.
read -ra monitor <<<"${MONITOR:-./vmm}"

# vmm_run ARGUMENT...: runs the monitor with a time limit; its output is in $tmp/out and $tmp/err, its exit
# status in $status. TIME_LIMIT (s) may be set; a monitor that hangs shows as 137.
vmm_run() {
	status=0
	timeout --foreground -s KILL "${TIME_LIMIT:-20}" "${monitor[@]}" "$@" >"$tmp/out" 2>"$tmp/err" || status=$?
}

show() {
	local file
	for file in "$tmp/out" "$tmp/err"; do
		echo "--- $(basename "$file") (last lines)"
		tail -n 20 "$file" | tr -cd '[:print:]\n' | cut -c 1-200
	done
}

expect_status() {
	[ "$status" = "$1" ] || { show; die "exit status $status, expected $1${2+ ($2)}"; }
}

# expect_output TEXT: stdout is exactly this (and a newline).
expect_output() {
	printf '%s\n' "$1" >"$tmp/expected"
	cmp -s "$tmp/expected" "$tmp/out" || { diff "$tmp/expected" "$tmp/out" || :; show; die "stdout differs"; }
}

expect_no_errors() {
	[ ! -s "$tmp/err" ] || { show; die "stderr is not empty"; }
}

# expect_error REGEX: stderr is one line, which begins with "vmm: " and matches.
expect_error() {
	if [ "$(wc -l <"$tmp/err")" != 1 ] || ! grep -q '^vmm: ' "$tmp/err" || ! grep -qE -- "$1" "$tmp/err"; then
		show
		die "stderr is not one line 'vmm: ...' with: $1"
	fi
}

# expect_checks NAME...: stdout is "NAME ok" for each, in this order.
expect_checks() {
	expect_output "$(printf '%s ok\n' "$@")"
}

# wait_for FILE TEXT: until the file holds it; at most 5 s.
wait_for() {
	local i
	for ((i = 0; i < 250; i++)); do
		grep -qF -- "$2" "$1" 2>/dev/null && return
		sleep 0.02
	done
	show
	die "no '$2' in $(basename "$1") within 5 s"
}

now_ms() {
	echo $(($(date +%s%N) / 1000000))
}

# scaled WANTED SECONDS: so many bytes as a guest can move over the serial port in SECONDS, at most
# WANTED; a multiple of 64. A port access costs 1 us on hardware and up to 100 us on hosts that emulate.
scaled() {
	local start bytes
	start=$(now_ms)
	./vmm --kernel "$elf/serial_flood.elf" --cmdline bytes=2048 >/dev/null </dev/null
	bytes=$((2048 * 1000 * $2 / ($(now_ms) - start + 1)))
	[ "$bytes" -lt "$1" ] || bytes=$1
	echo $((bytes / 64 * 64))
}

# The first BYTES bytes that serial_flood prints.
flood_bytes() {
	seq -f %063.0f 0 $(($1 / 64 - 1))
}
