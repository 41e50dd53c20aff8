#!/bin/bash
# As few tasks as the host allows: a VM runs with what the README says that it needs; with less it says so in one line
# and ends with status 3, instead of trying for ever.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
set -o pipefail
[ "$(id -u)" = 0 ] || skip "a cgroup needs root"

# A cgroup with a limit of tasks, of either version, in $cgroup.
for base in /sys/fs/cgroup/pids /sys/fs/cgroup; do
	cgroup=$base/vmm-test-$$
	mkdir "$cgroup" 2>/dev/null || continue
	[ -e "$cgroup/pids.max" ] || echo +pids >"$base/cgroup.subtree_control" 2>/dev/null || :
	[ ! -e "$cgroup/pids.max" ] || break
	rmdir "$cgroup"
	cgroup=
done
[ -n "$cgroup" ] && [ -d "$cgroup" ] || skip "no cgroup with pids.max can be made here"
trap 'rmdir "$cgroup" || :; rm -rf "$tmp"' EXIT

# limited TASKS ARGUMENT...: vmm_run with at most so many tasks; its output goes through a pipe, which needs none.
limited() {
	echo "$1" >"$cgroup/pids.max"
	shift
	status=0
	timeout -s KILL 20 sh -c 'echo 0 >"$0/cgroup.procs" && exec "$@"' "$cgroup" ./vmm "$@" \
		2>"$tmp/err" </dev/null | cat >"$tmp/out" || status=$?
}

limited 1 --kernel "$elf/hello.elf"
expect_status 3 "one task"
expect_error 'cannot start a second thread: '
# KVM has a thread of its own in the process since Linux 6.13.
limited 2 --kernel "$elf/hello.elf"
if [ "$status" = 3 ]; then
	expect_error 'KVM_RUN on vCPU 0.*pids.max, RLIMIT_NPROC'
else
	expect_status 0 "two tasks, where KVM has no thread of its own"
fi
limited 3 --kernel "$elf/hello.elf"
expect_status 0 "three tasks"
expect_output "hello from the guest"
limited 3 --kernel "$elf/hello.elf" --cpus 3
expect_status 3 "three tasks and three vCPUs"
limited 5 --kernel "$elf/hello.elf" --cpus 3
expect_status 0 "five tasks and three vCPUs"

# A write to a file needs a worker of the kernel.
output=$tmp/out
flood() {
	echo 3 >"$cgroup/pids.max"
	status=0
	timeout -s KILL 20 sh -c 'echo 0 >"$0/cgroup.procs" && exec "$@"' "$cgroup" ./vmm --kernel "$elf/end.elf" \
		--cmdline "$1" >"$output" 2>"$tmp/err" </dev/null || status=$?
}
flood flood
if [ "$status" != 3 ] && grep -q 0123 "$output"; then
	die "the output was written without a worker: exit status $status"
fi
expect_status 3 "output to a file with three tasks"
grep -q '^vmm: console: the host makes no task .*pids.max' "$tmp/err" || { show; die "no line that says why"; }
