#!/bin/bash
# SPDX-License-Identifier: MIT
# Whoever has seen the process end finds all of it free: stdout at its end, the TAP, the file system of the images, the
# vsock's path, the cgroup; after a reset and after SIGTERM, alone and of a hundred at once.
. "$(dirname "$0")/net_lib.bash"
need_kvm

mkdir "$tmp/mnt"
mount -t tmpfs none "$tmp/mnt" 2>/dev/null || skip "no tmpfs can be mounted here"
at_exit umount "$tmp/mnt"
ip tuntap add endtap mode tap
timeout -s KILL 120 python3 tests/guest/end_free.py "$tmp" endtap "$elf"
