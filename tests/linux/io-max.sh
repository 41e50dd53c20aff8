#!/bin/bash
# SPDX-License-Identifier: MIT
# docs/launcher.md's example of a cgroup that limits a VM's disk: 6 MiB at 1 MiB a second.
. "$(dirname "$0")/lib.sh"

grep -qw io /sys/fs/cgroup/cgroup.controllers 2>/dev/null || skip "no cgroup with io.max here"
root=$(image_copy root)
# A quick disk's blocks are its own device's.
truncate -s 64M "$work/disk"
device=$(losetup --find --show "$work/disk")
at_exit losetup --detach "$device"
at_exit rmdir /sys/fs/cgroup/vm1
sed -n '/^## What composes/,/^## Inher/s/^    //p' "$repo/docs/launcher.md" | sed -n '/^echo +io/,$p' |
	sed "s#8:0#$(cat "/sys/block/${device#/dev/}/dev")#; s#exec vmm --kernel vmlinux --rootfs rootfs.ext4#exec $vmm --kernel $(guest_file vmlinux) \
--rootfs $root --disk $device,ro --cmdline \"-- dd if=/dev/vdb of=/dev/null bs=1M count=6\"#" >"$work/typed"
start=$(now_ms)
timeout -s KILL 100 sh -e "$work/typed" >"$work/io.out" 2>"$work/io.err" </dev/null || status=$?
expect_status 0 "$(cat "$work/typed")"
expect_text "$work/io.out" "6+0 records out"
elapsed_ms=$(($(now_ms) - start))
[ $elapsed_ms -gt 4500 ] || fail "6 MiB at 1 MiB a second take $elapsed_ms ms"
passed "6 MiB in $elapsed_ms ms"
