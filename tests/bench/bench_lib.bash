# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For the tests of the benches: `. "$(dirname "$0")/bench_lib.bash"`. Short runs: that a bench ends well, that its
# lines have the promised form, and that it fails when it should; no test of a time.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/../guest/lib.sh"
bench=$(basename "$0" .sh)
[ -x build/bench/launcher ] || make -s bench-programs
[ -e build/tests/guest/idle.elf ] || make -s guests

# The benches with VMs that have TAPs.
need_namespace() {
	{ : <>/dev/net/tun; } 2>/dev/null || skip "there is no /dev/net/tun, or no permission for it"
	command -v ip >/dev/null || skip "there is no ip (package iproute2)"
	unshare --net true 2>/dev/null || skip "no network namespaces here"
}

# bench_run ARGUMENT...: as vmm_run. Its scratch directory lies in ours.
bench_run() {
	status=0
	TMPDIR=$tmp timeout -s KILL 100 "bench/$bench.sh" "$@" >"$tmp/out" 2>"$tmp/err" || status=$?
}

# expect_last REGEX: the last line of stdout is this.
expect_last() {
	tail -n 1 "$tmp/out" | grep -qE -- "^$1\$" || { show; die "the last line is not: $1"; }
}

expect_line() {
	grep -qE -- "^$1\$" "$tmp/out" || { show; die "there is no line: $1"; }
}

# expect_refused REGEX ARGUMENT...: the bench ends with 2 and one line on stderr that matches.
expect_refused() {
	bench_run "${@:2}"
	expect_status 2 "${*:2}"
	[ ! -s "$tmp/out" ] || { show; die "stdout is not empty: ${*:2}"; }
	[ "$(wc -l <"$tmp/err")" = 1 ] && grep -qE -- "^$bench: .*$1" "$tmp/err" ||
		{ show; die "stderr is not one line '$bench: ...' with: $1"; }
}

# fake_peer NAME: makes $tmp/peers/NAME, a program with the body of stdin.
fake_peer() {
	mkdir -p "$tmp/peers"
	{ echo '#!/bin/sh' && cat; } >"$tmp/peers/$1"
	chmod +x "$tmp/peers/$1"
}

# ours: the processes, and their arguments, that have our scratch directory in them: what a bench has started.
ours() {
	local file words
	for file in /proc/[0-9]*/cmdline; do
		{ mapfile -d '' -t words <"$file"; } 2>/dev/null || continue
		[[ ${words[*]-} != *"$tmp"* ]] || echo "${words[*]}"
	done
}

expect_none_left() {
	local left
	left=$(ours)
	[ -z "$left" ] || die "left over: $left"
}

# expect_json EXPRESSION: of Python, on the result `r`; it is true.
expect_json() {
	python3 -c "import json, sys; r = json.load(sys.stdin); sys.exit(not ($1))" <"$tmp/out" ||
		{ show; die "the JSON object is not as it must be: $1"; }
}
