#!/bin/bash
# SPDX-License-Identifier: MIT
# The README's example of a vsock works as it is typed.
. "$(dirname "$0")/lib.sh"

command -v socat >/dev/null || fail "socat is missing (make deps-test)"
# Its indented lines, on this test's own files; installing is not a test's business.
root=$(image_copy root)
sed -n '/^### A vsock/,/^### A container/s/^    //p' "$repo/README.md" | grep -v '^apt-get ' |
	sed "s#build/guest/vmlinux#$(guest_file vmlinux)#; s#build/guest/rootfs.ext4#$root#" >"$work/typed"
expect_text "$work/typed" "lab/lab -- examples/vsock.sh $(guest_file vmlinux)"
cd "$repo" || exit
VMM=$vmm VMM_LAB=direct timeout -s TERM 100 bash "$work/typed" >"$work/readme.out" 2>"$work/readme.err" </dev/null || status=$?
tr -d '\r' <"$work/readme.out" >"$work/out"
grep -qxE 'hello from the host' "$work/out" || fail "the guest has not heard from the host (exit status $status)"
grep -qxE 'OK [0-9]+' "$work/out" || fail "no OK"
grep -qxF 'HELLO GUEST' "$work/out" || fail "the guest has not answered"
grep -qxF 'the guest has powered off' "$work/out" || fail "the guest has not ended when asked"
expect_status 0 "the typed commands"
passed "$(grep -c . "$work/typed") lines typed"
