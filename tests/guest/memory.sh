#!/bin/bash
# SPDX-License-Identifier: MIT
# Bounded memory and no busy waiting (bug classes 7, 8, 9): input that no guest reads, output that nobody
# takes, requests without end. The monitor's own memory stays flat; a halted guest costs no CPU time.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

# Without huge pages the resident size is what was touched, to the page.
rss_kib() {
	sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/status"
}

cpu_ticks() {
	awk '{ print $14 + $15 }' "/proc/$pid/stat"
}

stop() {
	kill "$pid"
	wait "$pid" 2>/dev/null || :
}

# expect_flat WHAT BEFORE AFTER: at most 256 KiB more
expect_flat() {
	[ $(($3 - $2)) -le 256 ] || die "$1: the monitor grew from $2 to $3 KiB"
}

# 100 MB wait at stdin for a guest that never reads.
head -c 100000000 /dev/zero >"$tmp/input"
mkfifo "$tmp/in"
cat "$tmp/input" >"$tmp/in" 2>/dev/null &
writer=$!
./vmm --kernel "$elf/end.elf" --cmdline halt <"$tmp/in" >"$tmp/out" 2>"$tmp/err" &
pid=$!
wait_for "$tmp/out" running
before=$(rss_kib)
ticks=$(cpu_ticks)
sleep 1
expect_flat "100 MB typed, none read" "$before" "$(rss_kib)"
[ $(($(cpu_ticks) - ticks)) -le 10 ] || die "a halted guest costs CPU time: $(($(cpu_ticks) - ticks)) ticks in 1 s"
stop
kill "$writer" 2>/dev/null || :

# A guest that prints for ever to a pipe that is full.
mkfifo "$tmp/pipe"
exec 7<>"$tmp/pipe"
head -c 65536 /dev/zero >&7
./vmm --kernel "$elf/end.elf" --cmdline flood >&7 2>"$tmp/err" </dev/null &
pid=$!
sleep 2
before=$(rss_kib)
ticks=$(cpu_ticks)
sleep 0.5
expect_flat "output that nobody takes" "$before" "$(rss_kib)"
stop
exec 7>&-

# Requests for a second, 1 MiB and 32 of a sector in turn.
truncate -s 8M "$tmp/disk"
: >"$tmp/out"
./vmm --kernel "$elf/blk_busy.elf" --disk "$tmp/disk" >"$tmp/out" 2>"$tmp/err" </dev/null &
pid=$!
wait_for "$tmp/out" "warm"
before=$(rss_kib)
sleep 1
expect_flat "requests for a second" "$before" "$(rss_kib)"
stop
expect_no_errors
