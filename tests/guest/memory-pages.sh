#!/bin/bash
# SPDX-License-Identifier: MIT
# The pages that back guest memory: --mem SIZE,4k and --mem SIZE,hugetlb, with a pool and without.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
pool=/proc/sys/vm/nr_hugepages

# Starts a guest that waits, with this --mem.
start() {
	: >"$tmp/out"
	./vmm --kernel "$elf/end.elf" --cmdline halt --mem "$1" >"$tmp/out" 2>"$tmp/err" </dev/null &
	pid=$!
	wait_for "$tmp/out" running
}

stop() {
	kill "$pid"
	wait "$pid" 2>/dev/null || :
}

# The flag is on a mapping of that many KiB.
expect_flag() { # KIB FLAG
	awk -v kib="$1" -v flag="$2" '$1 == "Size:" { found = $2 == kib }
		$1 == "VmFlags:" && found && index($0, " " flag) { ok = 1 }
		END { exit !ok }' "/proc/$pid/smaps" || die "no mapping of $1 KiB has the flag $2"
}

start 34M,4k
expect_flag $((34 * 1024)) nh
stop

[ -w $pool ] || skip "no permission for $pool"
before=$(cat $pool)
at_exit sh -c "echo $before >$pool"
free=$(awk '$1 == "HugePages_Free:" { print $2 }' /proc/meminfo)
echo $((before - free)) >$pool
vmm_run --kernel "$elf/hello.elf" --mem 34M,hugetlb
expect_status 122 "hugetlb without a pool"
expect_error '--mem 34M,hugetlb: the host has not 17 free 2M pages in its pool'
echo $((before - free + 17)) >$pool
[ "$(cat $pool)" -ge $((before - free + 17)) ] || skip "this host has no 17 huge pages to spare"
start 34M,hugetlb
expect_flag $((34 * 1024)) ht
[ "$(awk '$1 == "HugetlbPages:" { print $2 }' "/proc/$pid/status")" -gt 0 ] || die "the guest uses no page of the pool"
vmm_run --kernel "$elf/hello.elf" --mem 2M,hugetlb
expect_status 122 "hugetlb beside a VM that has reserved all"
stop
vmm_run --kernel "$elf/hello.elf" --mem 34M,hugetlb
expect_status 0 "hugetlb"
expect_no_errors
