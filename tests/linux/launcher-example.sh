#!/bin/bash
# SPDX-License-Identifier: MIT
# examples/launcher.py runs a script in a guest and tells its result. (vsock-readme runs the other example.)
. "$(dirname "$0")/lib.sh"

for tool in python3 setpriv; do command -v $tool >/dev/null || fail "$tool is missing (make deps-test)"; done
export VMM=$vmm
kernel=$(guest_file vmlinux)

# shellcheck disable=SC2016
echo 'uname -s; echo $((6 * 7)); false; echo "status $?"' |
	timeout -s TERM 100 "$repo/examples/launcher.py" "$kernel" "$(image_copy root)" >"$work/launcher.out" 2>"$work/launcher.err" || status=$?
expect_status 0 "the launcher"
expect_equal "the script's output" "Linux 42 status 1" "$(tr '\n' ' ' <"$work/launcher.out" | sed 's/ $//')"
expect_text "$work/launcher.err" "result: {'exit_code': 0, 'reason': 'guest_ended'}"

# A monitor that refuses: the launcher does not wait for a call that never comes.
status=0
timeout -s TERM 100 "$repo/examples/launcher.py" "$kernel" "$work/none" </dev/null >"$work/refused.out" 2>"$work/refused.err" || status=$?
expect_status 121 "the launcher of a VM without an image"
expect_text "$work/refused.err" "'reason': 'bad_input'"

passed "$(wc -c <"$work/launcher.out") bytes of output"
