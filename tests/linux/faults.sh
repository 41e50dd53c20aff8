#!/bin/bash
# SPDX-License-Identifier: MIT
# Faults of the files behind the disks, all in one guest: the host's disk is full, the file-size limit
# is reached, the image is truncated while the guest runs. The guest gets I/O errors, and only for
# what cannot be done; the monitor says one line for each disk, lives on and ends with 0.
. "$(dirname "$0")/lib.sh"

mkdir "$work/small"
mount -t tmpfs -o size=4M tmpfs "$work/small" 2>/dev/null || skip "cannot mount a tmpfs here"
at_exit umount -l "$work/small"
truncate -s 32M "$work/small/full.img"
truncate -s 128M "$work/limited.img"
head -c 8M /dev/urandom >"$work/truncated.img"

root=$(image_copy root)
guest_script "$root" <<'END'
dmesg -n 1 # the console is slow, and these errors are expected
put() { dd if=/bin/busybox of=$1 bs=64k seek=$2 count=$3 conv=notrunc,fsync 2>/dev/null; }
get() { echo 3 >/proc/sys/vm/drop_caches; dd if=$1 bs=64k skip=$2 count=$3 2>/dev/null | sha256sum | cut -d " " -f 1; }

put /dev/vdb 0 16 || failed "write to vdb while there is room"
put /dev/vdb 100 16 || failed "write more to vdb while there is room"
seek=200
while put /dev/vdb $seek 16; do
	seek=$((seek + 16))
	[ $seek -lt 500 ] || break
done
report full-at $seek
[ "$(get /dev/vdb 0 16)" = "$(get /bin/busybox 0 16)" ] || failed "vdb is readable when full"

put /dev/vdc 0 16 || failed "write to vdc below the limit"
put /dev/vdc 1600 16 && failed "write to vdc above the limit succeeds"
[ "$(get /dev/vdc 0 16)" = "$(get /bin/busybox 0 16)" ] || failed "vdc is readable"

get /dev/vdd 64 16 >/dev/null || failed "read vdd"
echo "TRUNCATE NOW"
read line
echo 3 >/proc/sys/vm/drop_caches
dd if=/dev/vdd of=/dev/null bs=64k skip=96 count=1 2>/dev/null && failed "read behind vdd's new end succeeds"
[ "$(get /dev/vdd 0 16)" = "$(get /dev/vdd 0 16)" ] || failed "vdd's beginning is readable"
report vdd-begins $(get /dev/vdd 0 16)
uname -a >/out/still-writable && sync || failed "the root"
dmesg | grep -c 'I/O error' >/out/errors
END
mkfifo "$work/keys"
exec 9<>"$work/keys"
begins=$(head -c 1M "$work/truncated.img" | sha256sum | cut -d " " -f 1)
(
	ulimit -f $((80 * 1024)) # blocks of 1024 bytes
	exec "$vmm" --kernel "$(guest_file bzImage)" --rootfs "$root" --disk "$work/small/full.img" \
		--disk "$work/limited.img" --disk "$work/truncated.img" --cmdline "$run_script"
) >"$work/faults.out" 2>"$work/faults.err" <&9 &
vm_started_ms=$(now_ms)
vm_watch $!
wait_for_text "$work/faults.out" "TRUNCATE NOW"
truncate -s 4M "$work/truncated.img"
echo go >&9
vm_wait
expect_status 0
expect_clean "$root"
read_report "$root"
expect_range "first 64 KiB block that did not fit" "$(report_value full-at)" 200 484
expect_equal "beginning of the truncated disk" "$begins" "$(report_value vdd-begins)"
expect_range "I/O errors in the guest's log" "$(image_get "$root" /out/errors)" 3 100
for fault in "small/full.img: write at byte [0-9]*: No space left on device" \
	"limited.img: write at byte [0-9]*: File too large" \
	"truncated.img: read at byte [0-9]*: the file has become shorter"; do
	grep -q "^vmm: disk $work/$fault; the guest gets an I/O error" "$work/faults.err" ||
		fail "no line on stderr with '$fault': $(cat "$work/faults.err")"
done
expect_equal "lines on stderr" 3 "$(wc -l <"$work/faults.err")"
passed "disk full, file-size limit, truncation; $elapsed_ms ms"
