#!/bin/bash
# SPDX-License-Identifier: MIT
# As few tasks as the host allows: a VM runs with what docs/design.md says that it needs; with less it says so in one line
# and ends with status 122, instead of trying for ever.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
# shellcheck source=tests/guest/task_group.bash
. "$(dirname "$0")/task_group.bash"
set -o pipefail

# limited TASKS ARGUMENT...: vmm_run with at most so many tasks; its output goes through a pipe, which needs none.
limited() {
	limit "$1"
	shift
	status=0
	timeout -s KILL 20 sh -c 'echo 0 >"$0/cgroup.procs" && exec "$@"' "$group" ./vmm "$@" \
		2>"$tmp/err" </dev/null | cat >"$tmp/out" || status=$?
}

limited 1 --kernel "$elf/hello.elf"
expect_status 122 "one task"
expect_error 'cannot start a second thread: '
# KVM has a thread of its own in the process since Linux 6.13.
limited 2 --kernel "$elf/hello.elf"
if [ "$status" = 122 ]; then
	expect_error 'KVM_RUN on vCPU 0.*pids.max, RLIMIT_NPROC'
	least=3
else
	expect_status 0 "two tasks, where KVM has no thread of its own"
	least=2
fi
limited $least --kernel "$elf/hello.elf"
expect_status 0 "$least tasks"
expect_output "hello from the guest"
limited $least --kernel "$elf/hello.elf" --cpus 3
expect_status 122 "$least tasks and three vCPUs"
limited $((least + 2)) --kernel "$elf/hello.elf" --cpus 3
expect_status 0 "$((least + 2)) tasks and three vCPUs"

# A write to a file needs a worker of the kernel.
limit $least
status=0
timeout -s KILL 20 sh -c 'echo 0 >"$0/cgroup.procs" && exec "$@"' "$group" ./vmm --kernel "$elf/end.elf" \
	--cmdline flood >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
expect_status 122 "output to a file with $least tasks"
grep -q '^vmm: console: the host makes no task .*pids.max' "$tmp/err" || { show; die "no line that says why"; }
