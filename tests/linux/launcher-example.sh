#!/bin/bash
# SPDX-License-Identifier: MIT
# examples/launcher.c and launcher.py with Linux: each script has a VM of its own, and the VMs share an image.
# launch/launchers has a hundred, and those whose time is over. A task of examples/slurm. (vsock-readme runs the other example.)
. "$(dirname "$0")/lib.sh"

command -v python3 >/dev/null || fail "python3 is missing (make deps-test)"
gcc -O2 -std=gnu11 -pthread -o "$work/launcher" "$repo/examples/launcher.c"
kernel=$(guest_file vmlinux)
root=$(guest_file rootfs.ext4)
# shellcheck disable=SC2016
printf '%s\n' 'uname -s; echo $((6 * 7)) >&2' 'exit 7' 'echo $((6 * 7)); false' 'echo c >/proc/sysrq-trigger' >"$work/scripts"
printf '%s\n' '0 exited 0: Linux' '1 exited 7: ' '2 exited 1: 42' '3 panicked: ' >"$work/expected"
for launcher in "$work/launcher" "$repo/examples/launcher.py"; do
	status=0
	timeout -s TERM 120 "$launcher" "$vmm" "$kernel" "$root" 110 <"$work/scripts" >"$work/launcher.out" 2>"$work/launcher.err" || status=$?
	expect_equal "what $launcher prints" "$(cat "$work/expected")" "$(cat "$work/launcher.out")"
	expect_status 1 "$launcher"
done

# The command of a task of examples/slurm finds its number; the image stays as it is.
sum=$(sha256sum "$root")
status=0
# shellcheck disable=SC2016
SLURM_ARRAY_TASK_ID=37 VMM=$vmm KERNEL=$kernel IMAGE=$root timeout -s TERM 50 bash "$repo/examples/slurm/vms.sbatch" \
	sh -c 'echo "$TASK" >/root/task; exit $(cat /root/task)' >"$work/task.out" 2>"$work/task.err" || status=$?
expect_status 37 "a task of the array"
expect_equal "the image" "$sum" "$(sha256sum "$root")"

passed "$(wc -l <"$work/scripts") scripts, twice"
