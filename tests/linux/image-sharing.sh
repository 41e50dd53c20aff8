#!/bin/bash
# SPDX-License-Identifier: MIT
# A read-only root stays as it is, bit for bit, and two monitors may use it at once. An image that a
# monitor writes to belongs to it: a second one is refused with exit status 122 and one line.
. "$(dirname "$0")/lib.sh"

root=$(image_copy root)
data=$work/data.img
truncate -s 1M "$data"
guest_script "$root" <<'END'
touch /x 2>/dev/null && echo "BAD: wrote to the read-only root"
mount -o remount,rw / 2>/dev/null && echo "BAD: remounted the root for writing"
dd if=/dev/zero of=/dev/vda bs=4096 count=1 conv=notrunc,fsync 2>/dev/null && echo "BAD: wrote to /dev/vda"
echo "ro $(cat /sys/block/vda/ro) $(cat /sys/block/vdb/ro)"
echo READY
read line
echo "END $line"
END
before=$(sha256_of "$root")

# Refused: one line that names the option and the file, exit status 122, and no VM.
expect_refused() { # NAME OPTION IMAGE WORDS
	vm_run "$1" --kernel "$(guest_file bzImage)" "$2" "$3" --cmdline '-- true'
	expect_status 122 "$1"
	expect_equal "$1: lines on stderr" 1 "$(wc -l <"$work/$1.err")"
	expect_text "$work/$1.err" "vmm: $2 ${3%,ro}: it is in use: $4"
	expect_empty "$work/$1.out"
	[ $elapsed_ms -lt 5000 ] || fail "$1: the refusal took $elapsed_ms ms"
}

mkfifo "$work/keys1" "$work/keys2"
exec 8<>"$work/keys1" 9<>"$work/keys2"
vm_start one --kernel "$(guest_file bzImage)" --rootfs "$root,ro" --disk "$data" --cmdline "$run_script" <&8
one=$vm_pid
data2=$work/data2.img
truncate -s 1M "$data2"
vm_start two --kernel "$(guest_file bzImage)" --rootfs "$root,ro" --disk "$data2" --cmdline "$run_script" <&9
two=$vm_pid
wait_for_text "$work/two.out" READY
vm_pid=$one
wait_for_text "$work/one.out" READY
expect_refused writer-beside-readers --rootfs "$root" "another VM or process holds a lock on it"
expect_refused second-writer --disk "$data" "another VM or process holds a lock on it"
expect_refused reader-beside-writer --disk "$data,ro" "another VM or process writes to it"
echo first >&8
vm_wait "$one"
expect_status 0 "the first VM"
echo second >&9
vm_wait "$two"
expect_status 0 "the second VM"
for name in one two; do
	expect_text "$work/$name.out" "ro 1 0"
	! grep -a BAD "$work/$name.out" || fail "$name: the read-only root was written to"
	expect_empty "$work/$name.err"
done
expect_text "$work/one.out" "END first"
expect_text "$work/two.out" "END second"
expect_equal "the image's hash" "$before" "$(sha256_of "$root")"

# The same image twice in one command line is two users of it as well.
vm_run twice --kernel "$(guest_file bzImage)" --rootfs "$root" --disk "$root" --cmdline '-- true'
expect_status 121 "the same image twice"
passed "2 VMs at once, 4 refused"
