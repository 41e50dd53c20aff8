#!/bin/bash
# SPDX-License-Identifier: MIT
# bench/io.sh, one round: every line is there, for each peer that is there, and what fails is named.
# shellcheck source=tests/bench/bench_lib.bash
. "$(dirname "$0")/bench_lib.bash"
number='[0-9]+(\.[0-9]+)?'

expect_refused 'unknown option --nonsense' --nonsense
expect_refused '--seconds needs a value' --seconds
expect_refused "--runs: '0' is not" --runs 0
need_kvm
need_namespace
command -v fio >/dev/null || skip "there is no fio (package fio)"

bench_run --runs 1 --seconds 1 --no-linux
expect_status 0
for what in 'randread 4k depth 1' 'randread 4k depth 32' 'randwrite 4k depth 1' 'randwrite 4k depth 32' 'read 1M' 'write 1M'; do
	expect_line "io: $what: vmm $number, fio $number, ratio [0-9]+\.[0-9][0-9]"
done
for what in 'net send 64' 'net send 1514' 'net receive 64' 'net receive 1514' 'vsock send 4k' 'vsock receive 4k'; do
	expect_line "io: $what: vmm $number, host $number, ratio [0-9]+\.[0-9][0-9]"
done
expect_line "io: randwrite 4k depth 32: vmm $number, fio, CPU busy $number, ratio [0-9]+\.[0-9][0-9]"
expect_line "io: randwrite 4k depth 32: vmm $number, vmm, overlay $number, ratio [0-9]+\.[0-9][0-9]"
expect_line "io: net receive 64: vmm $number, host, CPU busy $number, ratio [0-9]+\.[0-9][0-9]"
expect_last "io: vsock round trips: vmm $number, host $number, ratio [0-9]+\.[0-9][0-9]"
# A device that does nothing would count nothing.
! grep -qE 'vmm 0(\.0)?,' "$tmp/out" || { show; die "vmm has done nothing"; }
expect_none_left

# A peer that fails is named, and the bench fails.
echo 'echo it is broken >&2; exit 3' | fake_peer firecracker
bench_run --runs 1 --seconds 1 --no-linux --peers "$tmp/peers"
expect_status 1 "with a broken peer"
grep -q 'it is broken' "$tmp/err" && grep -q 'firecracker Sync.*failed' "$tmp/err" || { show; die "it does not say what failed"; }
expect_none_left
