#!/bin/bash
# SPDX-License-Identifier: MIT
# The README's network without root, as it is typed, in a namespace with an interface for passt's addresses.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/net_lib.bash"

for tool in passt busybox; do command -v $tool >/dev/null || fail "$tool is missing (make deps-test)"; done
net_begin <<<"$net_uplink"
sed -n "/^### A network without root/,/^### A vsock/s/^    //p" "$repo/README.md" | grep -v "^apt-get " >"$work/commands"
expect_range "lines of commands in the README" "$(wc -l <"$work/commands")" 4 5
mkdir -p "$work/tree/build/guest"
ln -s "${VMM:-$repo/vmm}" "$work/tree/vmm"
ln -s "$(guest_file vmlinux)" "$work/tree/build/guest/vmlinux"
mv "$(image_copy root)" "$work/tree/build/guest/rootfs.ext4"
cd "$work/tree" || fail "cd"
in_ns timeout -s TERM 120 sh "$work/commands" >"$work/readme.out" 2>"$work/readme.err" </dev/null || status=$?
expect_status 0 "the README's commands"
expect_text "$work/readme.out" "hello from the host"
passed "a line of text from the host's loopback, by passt"
