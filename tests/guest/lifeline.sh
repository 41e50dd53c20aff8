#!/bin/bash
# SPDX-License-Identifier: MIT
# --lifeline-fd: the VM ends, as by SIGTERM, when the launcher's end of a pipe or socket is closed: at every moment, also
# when the launcher of 50 VMs is killed.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
timeout -s KILL 300 python3 -B tests/guest/lifeline.py "$elf/end.elf" "$tmp" || die "lifeline.py"

# The manual page's example: a shell that keeps the other end of a FIFO.
mkfifo "$tmp/line"
: >"$tmp/out"
# shellcheck disable=SC2016
timeout -s KILL 60 bash -c '"$1" --kernel "$2" --cmdline halt --lifeline-fd 3 3<"$3/line" >"$3/out" 2>"$3/err" &
	exec 4>"$3/line"
	until grep -q running "$3/out"; do sleep 0.02; done
	exec 4>&-
	wait $!' - ./vmm "$elf/end.elf" "$tmp" || status=$?
expect_status 143 "a shell that closes a FIFO"

# refused REGEX ARGUMENT...
refused() {
	vmm_run --kernel "$elf/hello.elf" "${@:2}"
	expect_status 121 "${*:2}"
	expect_error "$1"
}
cannot='expected one end of a pipe or a connected socket'
mkfifo "$tmp/fifo"
refused "--lifeline-fd 9: $cannot" --lifeline-fd 9 9<"$elf/hello.elf"
refused "--lifeline-fd 9: $cannot" --lifeline-fd=9 9<>/dev/null
refused "--lifeline-fd 9: $cannot" --lifeline-fd 9 9<>"$tmp/fifo"
refused "--lifeline-fd 9: $cannot" --lifeline-fd 9 9<"$tmp"
refused '--lifeline-fd 9: Bad file descriptor' --lifeline-fd 9
refused '--lifeline-fd 2: expected a descriptor number from 3' --lifeline-fd 2
refused '--lifeline-fd is given twice' --lifeline-fd 9 --lifeline-fd 8
refused '--lifeline-fd 9: descriptor 9 is given twice, also as --status-fd 9' --lifeline-fd 9 --status-fd 9 9>/dev/null
