#!/bin/bash
# SPDX-License-Identifier: MIT
# A host that makes no more tasks for the VM (pids.max): the disks cannot work, and the VM ends with one line and status
# 3. With one task more it works: one worker does everything.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

# shellcheck source=tests/guest/task_group.bash
. "$(dirname "$0")/task_group.bash"
mkfifo "$tmp/keys" "$tmp/pipe"
exec 9<>"$tmp/keys"

# run MORE: a VM whose cgroup lets it have so many tasks more when it comes to its disk.
run() {
	truncate -s 1M "$tmp/disk"
	limit max
	# Not to a file: that would need a worker, too, and it would be there for the disk.
	cat "$tmp/pipe" >"$tmp/out" &
	reader=$!
	(
		echo "$BASHPID" >"$group/cgroup.procs"
		exec ./vmm --kernel "$elf/blk_late.elf" --disk "$tmp/disk" <&9 >"$tmp/pipe" 2>"$tmp/err"
	) &
	pid=$!
	wait_for "$tmp/out" "start ok"
	# Workers left by the run before count, too.
	for ((i = 0; i < 500; i++)); do
		tasks=$(ls "/proc/$pid/task" | wc -l)
		[ "$(cat "$group/pids.current")" != "$tasks" ] || break
		sleep 0.01
	done
	limit $((tasks + $1))
	echo go >&9
	status=0
	wait "$pid" || status=$?
	wait "$reader"
}

run 1
expect_status 0 "one task more"
expect_checks "start" "write" "flush"
expect_no_errors
run 0
expect_status 122 "no task more"
expect_error "disk $tmp/disk: the host makes no task that would do its I/O \(pids.max .*RLIMIT_NPROC"
