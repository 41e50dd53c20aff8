#!/bin/bash
# SPDX-License-Identifier: MIT
# --check: the same refusals as a start, no VM, nothing left behind, and the plan on stdout.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/guest/background.bash
. "$(dirname "$0")/background.bash"
need_kvm

kernel=$elf/end.elf
truncate -s 1M "$tmp/root" "$tmp/data"
echo log >"$tmp/log"
head -c 5000 /dev/zero >"$tmp/initrd"

# What is printed is what the guest is told: the words, and its windows and interrupts in them.
vmm_run --check --kernel "$kernel" --initrd "$tmp/initrd" --rootfs "$tmp/root,ro" --disk "$tmp/data" \
	--vsock "cid=77,uds=$tmp/sock" --mem 4G --acpi on --serial "file:$tmp/log" --no-default-cmdline --cmdline "a b"
expect_status 0
expect_no_errors
entry=$(readelf -hW "$kernel" | sed -n 's/.*Entry point address: *//p')
end=0
while read -r gpa bytes; do
	((gpa + bytes <= end)) || end=$((gpa + bytes))
done < <(readelf -lW "$kernel" | awk '$1 == "LOAD" { print $4, $6 }')
end=$(printf '0x%x' $end)
# The layers, which depend on the host, come last: tests/guest/sandbox.sh.
sed -i '/^sandbox /d' "$tmp/out"
expect_output "memory   0x0-0x9fbff usable
memory   0x9fc00-0xfffff reserved
memory   0x100000-0xbfffffff usable
memory   0x100000000-0x13fffffff usable
kernel   entry $entry end $end $kernel
initrd   0x7fffe000-0x7ffff387 $tmp/initrd
serial   ports 0x3f8-0x3ff interrupt 4
disk0    window 0xc0001000 acpi 0xc0101000 interrupt 5 $tmp/root
disk1    window 0xc0002000 acpi 0xc0102000 interrupt 6 $tmp/data
vsock0   window 0xc0003000 acpi 0xc0103000 interrupt 7 cid 77
words    virtio_mmio.device=4K@0xc0001000:5 virtio_mmio.device=4K@0xc0002000:6 virtio_mmio.device=4K@0xc0003000:7 a b"
[ ! -e "$tmp/sock" ] || die "the vsock's socket is left"
[ "$(cat "$tmp/log")" = log ] || die "the console's file was touched"
vmm_run --check --kernel "$kernel" --acpi off --serial none --disk "$tmp/data"
expect_status 0
grep -q '^disk0    window 0xc0001000 interrupt 5 ' "$tmp/out" || die "without ACPI"
! grep -q ^serial "$tmp/out" || die "there is no UART"

# No VM, where strace can tell; and the guest that would never end does not run.
vmm_run --check --kernel "$kernel" --cmdline spin --disk "$tmp/data"
expect_status 0
if command -v strace >/dev/null; then
	strace -f -e trace=ioctl -o "$tmp/trace" ./vmm --check --kernel "$kernel" >/dev/null
	grep -q 'KVM_GET_API_VERSION' "$tmp/trace" || die "KVM was not tried"
	! grep -qE 'KVM_CREATE_VM|KVM_RUN' "$tmp/trace" || die "it made a VM"
fi

# As a start would be refused: by the same line, status and report.
refused() { # STATUS ARGUMENT...
	local expected=$1 line
	shift
	vmm_run --kernel "$kernel" --cmdline reset "$@"
	expect_status "$expected" "a start with $*"
	line=$(cat "$tmp/err")
	vmm_run --check --status-fd 7 --kernel "$kernel" --cmdline reset "$@" 7>"$tmp/report"
	expect_status "$expected" "$*"
	[ "$(cat "$tmp/err")" = "$line" ] || die "--check says '$(cat "$tmp/err")', a start '$line'"
	[ ! -s "$tmp/out" ] || die "it prints a plan, and fails: $*"
	grep -q "^{\"exit_code\":$expected,.*\"message\"" "$tmp/report" || die "the report is $(cat "$tmp/report")"
}
refused 121 --bogus
refused 121 --mem 1
refused 121 --disk /none
refused 121 --initrd /none
refused 121 --disk "$tmp"
refused 121 --disk "$tmp/data" --rootfs "$tmp/data"
refused 121 --serial "file:$tmp/data" --disk "$tmp/data"
refused 121 --net tap=
refused 121 --vsock "cid=3,uds=/none/a"
refused 121 --kvm-fd 8 8</dev/null
refused 121 --mem 2M --initrd ./vmm
vmm_run --check --kernel "$tmp/root"
expect_status 121
expect_error "--kernel $tmp/root: "

# In use, and free again.
./vmm --kernel "$kernel" --cmdline spin --disk "$tmp/data" >"$tmp/running" 2>/dev/null </dev/null &
vmm_pid=$!
wait_for "$tmp/running" running
refused 122 --disk "$tmp/data"
kill -TERM $vmm_pid
wait $vmm_pid || :
vmm_pid=
for ((i = 0; i < 3; i++)); do
	vmm_run --check --kernel "$kernel" --disk "$tmp/data"
	expect_status 0 "the image is free"
done
# An inherited image's lock goes with --check, too.
exec 9<>"$tmp/data"
vmm_run --check --kernel "$kernel" --disk fd=9
expect_status 0 "fd=9"
vmm_run --check --kernel "$kernel" --disk "$tmp/data"
expect_status 0 "behind fd=9"
exec 9>&-

# Nobody hears the plan.
status=0
./vmm --check --kernel "$kernel" >/dev/full 2>"$tmp/err" || status=$?
expect_status 122 "stdout is full"
expect_error '^vmm: stdout: No space left'
