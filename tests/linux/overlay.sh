#!/bin/bash
# SPDX-License-Identifier: MIT
# A root file system with an overlay: its image stays as it is, bit for bit, under two guests at once that write. FILE holds
# a sound file system at each end: an orderly one, SIGTERM, and SIGKILL, with every file that was fsynced; and the next
# guest goes on from there.
. "$(dirname "$0")/lib.sh"

kernel=$(guest_file bzImage)
base=$(image_copy base)
guest_script "$base" <<'END'
[ ! -e /mark ] || report mark "$(cat /mark)"
case $(sed 's/.* what=\([a-z]*\).*/\1/' /proc/cmdline) in
write)
	echo written >/mark
	dd if=/dev/urandom of=/big bs=64k count=100 2>/dev/null
	sync
	report hash "$(sha256sum </big | cut -d ' ' -f 1)"
	dd if=/dev/urandom of=/gone bs=64k count=60 2>/dev/null
	sync
	rm /gone && sync && fstrim / || failed fstrim
	;;
again)
	report again "$(sha256sum </big | cut -d ' ' -f 1)"
	;;
noise)
	head -c 100000 /bin/busybox >/tmp/part
	mkdir -p /w
	while :; do dd if=/dev/urandom of=/w/noise bs=64k count=20 2>/dev/null; done &
	while :; do cp /bin/busybox /w/copy; rm /w/copy; done &
	i=1
	while [ $i -le 60 ]; do
		dd if=/tmp/part of=/w/file$i bs=100000 conv=fsync 2>/dev/null && echo "synced $i"
		i=$((i + 1))
	done
	sleep 100
	;;
esac
END
before=$(sha256_of "$base")
chmod 444 "$base"
vm() { # FUNCTION NAME DISK WHAT
	"$1" "$2" --kernel "$kernel" --rootfs "$3" --cmdline "what=$4 $run_script"
}

expect_base() {
	expect_equal "the base's hash $1" "$before" "$(sha256_of "$base")"
}

merge() { # NAME: FILE and its base as an image
	"$repo/tests/guest/overlay_merge.py" "$base" "$work/$1" >"$work/$1.ext4"
}

# Two at once, and one after them: the second finds nothing of the first.
vm vm_start noise "$base,overlay" noise </dev/null
noise=$vm_pid
wait_for_text "$work/noise.out" "synced 2"
vm vm_run write "$base,overlay=$work/file" write
expect_status 0 "the first guest with FILE"
vm_pid=$noise
vm_signal TERM
expect_status 143
expect_base "under two guests"
merge file
expect_clean "$work/file.ext4"
read_report "$work/file.ext4"
expect_equal "mark before the first guest" "" "$(report_value mark)"
hash=$(report_value hash)
expect_range "KiB of FILE" "$(du -k "$work/file" | cut -f 1)" $((100 * 64)) $((150 * 64))

vm vm_run again "$base,overlay=$work/file" again
expect_status 0 "the second guest with FILE"
merge file
expect_clean "$work/file.ext4"
read_report "$work/file.ext4"
expect_equal "what the second guest read" "written, $hash" "$(report_value mark), $(report_value again)"

for signal in TERM KILL; do
	vm vm_start "$signal" "$base,overlay=$work/file-$signal" noise </dev/null
	wait_for_text "$work/$signal.out" "synced 3"
	vm_signal "$signal"
	expect_status $((128 + $(kill -l "$signal")))
	merge "file-$signal"
	expect_recovers "$work/file-$signal.ext4"
	last=$(grep -aoE 'synced [0-9]+' "$work/$signal.out" | tail -n 1 | cut -d ' ' -f 2)
	head -c 100000 "$(command -v busybox)" >"$work/part"
	for ((i = 1; i < last; i++)); do
		image_get "$work/file-$signal.ext4" "/w/file$i" | cmp - "$work/part" ||
			fail "SIG$signal: file $i of $last was fsynced and differs"
	done
	vm vm_run "after-$signal" "$base,overlay=$work/file-$signal" nothing
	expect_status 0 "the guest after SIG$signal"
done
expect_base "at the end"
passed "FILE of $(du -k "$work/file" | cut -f 1) KiB, $((last - 1)) files intact after SIGKILL, $elapsed_ms ms"
