#!/bin/bash
# SPDX-License-Identifier: MIT
# The README's network example, as it is typed, in a tree whose image is a copy.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/net_lib.bash"

command -v busybox >/dev/null || skip "busybox is not installed"
net_begin </dev/null
sed -n "/^### A network/,/^### /s/^    //p" "$repo/README.md" | grep -v "^apt-get " >"$work/commands"
expect_range "lines of commands in the README" "$(wc -l <"$work/commands")" 4 20
mkdir -p "$work/tree/build/guest"
ln -s "$repo/lab" "$work/tree/lab"
ln -s "${VMM:-$repo/vmm}" "$work/tree/vmm"
ln -s "$(guest_file vmlinux)" "$work/tree/build/guest/vmlinux"
mv "$(image_copy root)" "$work/tree/build/guest/rootfs.ext4"
cd "$work/tree" || fail "cd"
# In an interactive shell's place; its input is not the VM's.
in_ns sh "$work/commands" >"$work/readme.out" 2>"$work/readme.err" </dev/null || status=$?
expect_status 0 "the README's commands"
expect_text "$work/readme.out" "3 packets transmitted, 3 packets received, 0% packet loss"
expect_text "$work/readme.out" "hello from the host"
! in_ns ip link show vmtap0 >"$work/link" 2>&1 || fail "vmtap0 is still there"
passed "ping and a line of text"
