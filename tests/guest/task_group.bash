# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For tests, after lib.sh: $group, a cgroup of either version whose tasks can be limited, which ends with the test.
group=
for root in /sys/fs/cgroup/pids /sys/fs/cgroup; do
	mkdir "$root/vmm-test-$$" 2>/dev/null || continue
	group=$root/vmm-test-$$
	[ -e "$group/pids.max" ] || echo +pids >"$root/cgroup.subtree_control" 2>/dev/null || :
	[ ! -e "$group/pids.max" ] || break
	rmdir "$group"
	group=
done
[ -n "$group" ] || skip "no cgroup can be had that limits tasks"
at_exit rmdir "$group"

# limit TASKS: of what is in the cgroup, a number or max
limit() {
	echo "$1" >"$group/pids.max"
}
