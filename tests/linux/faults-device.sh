#!/bin/bash
# SPDX-License-Identifier: MIT
# Block devices as disks: one with bad sectors (device-mapper's error target) gives the guest an I/O
# error there and at each flush after it; one that hangs does not keep SIGTERM from ending the VM.
. "$(dirname "$0")/lib.sh"

command -v dmsetup >/dev/null || skip "dmsetup is not installed"
[ "$(id -u)" -eq 0 ] || skip "device-mapper needs root"
modprobe -qa loop dm_mod 2>/dev/null || :
dmsetup version >/dev/null 2>&1 || skip "this kernel has no device-mapper"

mib=16
sectors=$((mib * 2048))
loop_of() { # NAME: makes an image and prints its loop device
	truncate -s ${mib}M "$work/$1.img"
	losetup --find --show "$work/$1.img" || fail "losetup"
}

bad_loop=$(loop_of bad)
at_exit losetup -d "$bad_loop"
hung_loop=$(loop_of hung)
at_exit losetup -d "$hung_loop"
bad=vmm-test-bad-$$ hung=vmm-test-hung-$$
# A working device but for one MiB in the middle.
dmsetup create "$bad" <<END || fail "dmsetup create"
0 $((sectors / 2)) linear $bad_loop 0
$((sectors / 2)) 2048 error
$((sectors / 2 + 2048)) $((sectors / 2 - 2048)) linear $bad_loop $((sectors / 2 + 2048))
END
at_exit dmsetup remove --retry "$bad"
dmsetup create "$hung" --table "0 $sectors linear $hung_loop 0" || fail "dmsetup create"
at_exit dmsetup remove --retry "$hung"
at_exit dmsetup resume "$hung"
dmsetup mknodes >/dev/null 2>&1 || :

root=$(image_copy root)
guest_script "$root" <<'END'
dmesg -n 1 # the console is slow, and these errors are expected
at() { dd if=$1 of=$2 bs=64k skip=$3 seek=$4 count=8 conv=notrunc,fsync 2>/dev/null; }
readable() { dd if=/dev/vdb of=/dev/null bs=64k skip=$1 count=8 2>/dev/null; }
report size $(cat /sys/block/vdb/size)
at /bin/busybox /dev/vdb 0 0 || failed "write before the bad MiB"
readable 128 && failed "read of the bad MiB succeeds"
at /bin/busybox /dev/vdb 0 200 || failed "write behind the bad MiB"
at /bin/busybox /dev/vdb 0 130 && failed "write to the bad MiB succeeds"
at /bin/busybox /dev/vdb 0 210 && failed "a flush succeeds after one that failed"
readable 200 || failed "read behind the bad MiB"
sync
END
vm_run bad --kernel "$(guest_file bzImage)" --rootfs "$root" --disk "/dev/mapper/$bad" --cmdline "$run_script"
expect_status 120 "what could not be flushed"
read_report "$root"
expect_clean "$root"
expect_equal "sectors of the block device" $sectors "$(report_value size)"
expect_equal "lines on stderr" 2 "$(grep -cE "^vmm: disk /dev/mapper/$bad: (read|write|flush) at byte [0-9]+: (I/O|Input/output) error; " \
	"$work/bad.err")"
for block in 0 200; do
	dd if="/dev/mapper/$bad" bs=64k skip=$block count=8 status=none |
		cmp - <(head -c 512K "$(command -v busybox)") || fail "block $block differs on the host"
done

# hang NAME COMMAND: a guest whose COMMAND is on its way to the disk that hangs.
hang() {
	guest_script "$root" <<-END
		echo HANG NOW
		read line
		$2 2>/dev/null &
		usleep 300000
		echo HANGING
		sleep 100
	END
	mkfifo "$work/$1.keys"
	exec 9<>"$work/$1.keys"
	exec 8>"$work/$1.status"
	vm_start "$1" --kernel "$(guest_file bzImage)" --rootfs "$root" --disk "/dev/mapper/$hung" --status-fd 8 \
		--cmdline "$run_script" <&9
	exec 8>&-
	wait_for_text "$work/$1.out" "HANG NOW"
	dmsetup suspend --noflush --nolockfs "$hung"
	echo go >&9
	wait_for_text "$work/$1.out" HANGING
}

# A monitor that waits for the hung disk cannot even be killed: the disk must go on before clean_up waits.
trap 'code=$?; set +e; dmsetup resume "$hung"; (exit $code); clean_up' EXIT
# end_hung NAME: the result is known at once; Linux lets no thread go that waits in fdatasync for a disk, nor one that closes
# a block device that is being read, not even at SIGKILL: the process ends with the disk's answer.
end_hung() {
	kill -TERM "$vm_pid"
	wait_for_text "$work/$1.status" '{"exit_code":143,"reason":"signal"}'
	expect_text "$work/$1.err" "disk /dev/mapper/$hung: the last requests did not finish in time"
	dmsetup resume "$hung"
	vm_wait
	expect_status 143 "hung $1"
}
vm_time_limit=60
hang read "dd if=/dev/vdb of=/dev/null bs=64k skip=16 count=16"
end_hung read

hang flush "dd if=/bin/busybox of=/dev/vdb bs=64k seek=100 count=16 conv=notrunc,fsync"
end=$((SECONDS + 30))
until cat /proc/"$vm_pid"/task/*/status | grep -q '^State:.D'; do
	[ $SECONDS -lt $end ] || fail "the flush did not reach the disk"
	sleep 0.1
done
end_hung flush
passed "bad sectors; hung read, hung flush: the result at once, the end with the disk's answer"
