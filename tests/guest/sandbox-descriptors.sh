#!/bin/bash
# SPDX-License-Identifier: MIT
# Every descriptor and every mapped file of a running monitor that has one of everything, each with its reason: what the
# table in sandbox_descriptors.py does not name is a failure, and so is one that can do more than it needs to.
# (As root: the monitor is not dumpable, its /proc/PID/fd is root's.)
# shellcheck source=tests/guest/net_lib.bash
. "$(dirname "$0")/net_lib.bash"
need_kvm
make_tap vmtap0 0 1500
timeout -s KILL 60 python3 tests/guest/sandbox_descriptors.py "$elf/end.elf" "$tmp" ./vmm || die "not all descriptors are accounted for"
