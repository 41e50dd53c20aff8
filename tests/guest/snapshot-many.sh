#!/bin/bash
# SPDX-License-Identifier: MIT
# CLONES of one file (default 48) find the memory, registers and FPU state of the VM that was written, and change nothing for one another;
# a POOL (default 24) of monitors that wait takes orders, ends of file and SIGTERM.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
vmm_run --kernel "$elf/snapshot.elf" --cmdline mib=4 --snapshot "$tmp/snap"
expect_status 0
printf '%s ok\n' memory registers fpu >"$tmp/expected"
timeout -s KILL "${TIME_LIMIT:-250}" python3 tests/guest/snapshot_many.py "$tmp/snap" "$tmp/expected" "${CLONES:-48}" "${POOL:-24}" -- \
	"${monitor[@]}" || die "snapshot_many.py"
