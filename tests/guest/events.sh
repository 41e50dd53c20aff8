#!/bin/bash
# SPDX-License-Identifier: MIT
# --events-fd: lines of JSON for what happens to the VM, in the order of their times; counters at the end; failures of the
# start, whatever is wrong; readers that are stalled or have left.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
timeout --foreground -s KILL 300 python3 -B tests/guest/events.py "$elf" "$tmp" "${monitor[@]}" || die "events"
