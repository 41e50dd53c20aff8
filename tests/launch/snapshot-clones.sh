#!/bin/bash
# SPDX-License-Identifier: MIT
# examples/clones.c and clones.py: a hundred clones that wait, and go at once, each with its name; nothing is left; a monitor that refuses.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/../guest/lib.sh"
need_kvm
gcc -O2 -std=gnu11 -Wall -Wextra -Werror -o "$tmp/clones" examples/clones.c
truncate -s 1M "$tmp/image"
vmm_run --kernel "$elf/snapshot.elf" --disk "$tmp/image,ro" --snapshot "$tmp/snap"
expect_status 0
[ -x build/tests/reaper ] || make -s build/tests/reaper
for i in $(seq 0 99); do echo "$i exited 0: clone-$i"; done >"$tmp/all"
for launcher in "$tmp/clones" examples/clones.py; do
	build/tests/reaper 200 "$launcher" ./vmm "$tmp/snap" 100 --disk "$tmp/image,ro" >"$tmp/out" 2>"$tmp/err" || { show; die "$launcher"; }
	cmp -s "$tmp/all" "$tmp/out" || { diff "$tmp/all" "$tmp/out" | head -5; die "$launcher prints something else"; }
	status=0
	"$launcher" ./vmm "$tmp/snap" 1 >"$tmp/out" 2>"$tmp/err" || status=$?
	expect_status 1 "$launcher without the disk"
	expect_error 'has disks: 1, this VM 0'
	expect_output '0 exited 121: '
done
