#!/bin/bash
# SPDX-License-Identifier: MIT
# Everything by descriptor (fd=N, --kvm-fd): no path is opened, the launcher's descriptions stay as they are, pipes are read,
# images locked; what cannot be right is one line.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
timeout -s KILL 200 python3 tests/guest/inherited.py "$elf" "$tmp" || die "inherited.py"

# A shell's: a file, a process substitution, a pipe.
vmm_run --kernel fd=9 9<"$elf/hello.elf"
expect_status 0 "a file"
vmm_run --kernel fd=9 --initrd fd=8 9< <(cat "$elf/hello.elf") 8< <(head -c 200000 /dev/urandom)
expect_status 0 "process substitutions"

# refused STATUS REGEX ARGUMENT...: descriptor 7 is a folder, 8 a kernel, 9 an image that is open for reading only
truncate -s 1M "$tmp/disk"
refused() {
	# shellcheck disable=SC2094
	vmm_run --kernel "$elf/hello.elf" "${@:3}" 7<"$tmp" 8<"$elf/hello.elf" 9<"$tmp/disk"
	expect_status "$1" "${*:3}"
	expect_error "$2"
}
refused 121 '--disk fd=9: it is open for reading only, and ,ro is missing' --disk fd=9
refused 121 '--rootfs fd=9: it is open for reading only, and ,ro is missing' --rootfs=fd=9
refused 121 '--disk fd=7: it is a directory' --disk fd=7,ro
refused 121 '--initrd fd=7: expected a regular file, this is a directory' --initrd fd=7
refused 121 '--serial fd=9: it is open for reading only' --serial fd=9
refused 121 '--kvm-fd 9: expected /dev/kvm' --kvm-fd 9
refused 121 '--kvm-fd 30: Bad file descriptor' --kvm-fd 30
refused 121 '--disk fd=30: Bad file descriptor' --disk fd=30
refused 121 '--disk fd=9: descriptor 9 is given twice, also as --rootfs fd=9' --rootfs fd=9,ro --disk fd=9,ro
refused 121 '--initrd fd=9: descriptor 9 is given twice, also as --kvm-fd 9' --initrd fd=9 --kvm-fd 9
refused 121 '--serial fd=9: descriptor 9 is given twice, also as --initrd fd=9' --initrd fd=9 --serial fd=9
refused 121 '--initrd fd=2: expected a descriptor number from 3' --initrd fd=2
refused 121 '--disk fd=x: expected a descriptor number from 3' --disk fd=x,ro
# Not one of the monitor's own.
for fd in {30..36}; do
	refused 121 "--initrd fd=$fd: Bad file" --disk "$tmp/disk" --initrd "fd=$fd"
	refused 121 "--kvm-fd $fd: Bad file" --disk "$tmp/disk" --kvm-fd "$fd"
	refused 121 "--serial fd=$fd: Bad file" --disk "$tmp/disk" --serial "fd=$fd"
done
vmm_run --kernel fd=9 9>>"$tmp/out"
expect_status 121
expect_error '--kernel fd=9: it is not open for reading'
for flag in O_APPEND O_DIRECT O_NONBLOCK; do
	status=0
	python3 -c 'import os, sys
os.dup2(os.open(sys.argv[1], os.O_RDWR | getattr(os, sys.argv[2])), 9)
os.execv("./vmm", ["./vmm", "--kernel", sys.argv[3], "--disk", "fd=9"])' "$tmp/disk" $flag "$elf/hello.elf" 2>"$tmp/err" >"$tmp/out" || status=$?
	expect_status 121 $flag
	expect_error '--disk fd=9: it is open with O_APPEND, O_DIRECT or O_NONBLOCK'
done
