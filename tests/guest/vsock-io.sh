#!/bin/bash
# SPDX-License-Identifier: MIT
# A vsock whose driver polls: the CONNECT dialect, echoes with hashes both ways, half-closed streams, ports on which
# nobody listens, readers that do not read (class 21), 1,200 connections at once, resets.
# shellcheck source=tests/guest/vsock_lib.bash
. "$(dirname "$0")/vsock_lib.bash"
need_kvm

rss() {
	sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$vmm_pid/status"
}

vmm_start --kernel "$elf/vsock_io.elf" --vsock "cid=42,uds=$sock"
grep -qx 'cid 0x2a' "$tmp/out" || die "the guest has another CID"
for name in echo dialect half_close from_guest many slow_reader reset echo; do
	start=$(now_ms)
	talk $name
	echo "    $(($(now_ms) - start)) ms"
done
grep -qx 'half received 0x186a0' "$tmp/out" || { show; die "the guest did not read on after it had ended its half"; }
# The memory of 1,200 connections and the slow readers is released.
echo "RSS: $(rss) KiB"
talk end
vmm_wait
expect_status 0
expect_no_errors
! grep FAILED "$tmp/out" || die "the guest's checks"
