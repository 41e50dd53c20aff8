#!/bin/bash
# SPDX-License-Identifier: MIT
# RLIMIT_MEMLOCK, to which newer kernels charge a VM's io_uring, and which all VMs of a user share: the usual 64 KiB are enough
# for any VM, and a message about it names it.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
[ "$(id -u)" = 0 ] || skip "dropping CAP_IPC_LOCK needs root"

# limited KIB ARGUMENT...: vmm_run without the capability that lifts the limit
limited() {
	local bytes=$(($1 * 1024))
	shift
	status=0
	prlimit --memlock=$bytes:$bytes setpriv --bounding-set=-ipc_lock \
		timeout --foreground -s KILL 20 ./vmm "$@" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
}

disks=()
for ((i = 0; i < 16; i++)); do
	truncate -s 1M "$tmp/disk$i"
	disks+=(--disk "$tmp/disk$i")
done
limited 24 --kernel "$elf/hello.elf" --disk "$tmp/disk0"
expect_status 0 "24 KiB and one disk"
limited 52 --kernel "$elf/hello.elf" "${disks[@]}" --vsock "cid=3,uds=$tmp/v"
expect_status 0 "52 KiB, 16 disks and a vsock"
limited 0 --kernel "$elf/hello.elf"
if [ "$status" != 0 ]; then
	expect_status 122 "no memory for the ring"
	expect_error 'cannot create an io_uring \(RLIMIT_MEMLOCK.*: Out of memory'
fi
