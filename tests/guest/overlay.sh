#!/bin/bash
# SPDX-License-Identifier: MIT
# Overlays: the driver of blk-io.sh gets the same answers as from a plain image, the base stays as it is, and FILE holds
# what the image would hold; two VMs at once on one base; which files are refused, and how.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

# The pattern that blk_io.elf expects.
LC_ALL=C awk 'BEGIN { for (i = 0; i < 64; i++) {
	printf "%c%c%c%c%c%c%c%c", i, 0, 0, 0, 0, 0, 0, 0
	for (n = 8; n < 512; n++) printf "s" } }' >"$tmp/base"
truncate -s 4M "$tmp/base"
head -c 1536 /dev/zero | tr '\0' r >"$tmp/ro"
printf 'read only disk 1' | dd of="$tmp/ro" bs=1 seek=512 conv=notrunc status=none
cp "$tmp/base" "$tmp/plain"
cp "$tmp/base" "$tmp/before"
chmod 444 "$tmp/base"

blk_io() { # DISK
	vmm_run --kernel "$elf/blk_io.elf" --disk "$1" --disk "$tmp/ro,ro"
	expect_status 0 "$1"
	expect_no_errors
}

blk_io "$tmp/plain"
cp "$tmp/out" "$tmp/plain-out"
for words in overlay "overlay-dir=$tmp" "overlay=$tmp/file"; do
	blk_io "$tmp/base,$words"
	cmp "$tmp/plain-out" "$tmp/out" || die "$words: other answers than without an overlay"
	cmp "$tmp/base" "$tmp/before" || die "$words: the base has changed"
done
tests/guest/overlay_merge.py "$tmp/base" "$tmp/file" | cmp - "$tmp/plain" || die "the overlay differs from the plain image after the same run"

# A second start finds what the first has written.
blk_io "$tmp/plain"
cp "$tmp/out" "$tmp/plain-out"
exec 8<"$tmp/base" 9<>"$tmp/file"
blk_io "fd=8,overlay=fd=9"
exec 8<&- 9<&-
cmp "$tmp/plain-out" "$tmp/out" || die "other answers at the second start"
tests/guest/overlay_merge.py "$tmp/base" "$tmp/file" | cmp - "$tmp/plain" || die "other contents after the second start"

hold() { # ARGUMENT...: a VM that waits in its guest
	: >"$tmp/held-$#"
	./vmm --kernel "$elf/end.elf" --cmdline spin "$@" >"$tmp/held-$#" 2>&1 </dev/null &
	wait_for "$tmp/held-$#" running
}

refused() { # STATUS REGEX ARGUMENT...
	vmm_run --kernel "$elf/hello.elf" "${@:3}"
	expect_status "$1" "${*:3}"
	expect_error "$2"
}

# Two on one base, each with blocks of its own, beside the first that blk_io has.
hold --rootfs "$tmp/base,overlay"
hold --rootfs "$tmp/base,overlay=$tmp/file" --boot-timer
chmod 644 "$tmp/base"
blk_io "$tmp/base,overlay"
vmm_run --kernel "$elf/hello.elf" --disk "$tmp/base,ro" --disk "$tmp/base,overlay" --disk "$tmp/base,overlay=$tmp/second"
expect_status 0 "one base three times"
refused 122 "--disk $tmp/base: .*in use: another VM or process holds a lock" --disk "$tmp/base"
refused 122 "--disk $tmp/base,overlay=$tmp/file: .*in use" --disk "$tmp/base,overlay=$tmp/file"
kill %1 %2
wait %1 %2 || :
vmm_run --kernel "$elf/hello.elf" --disk "$tmp/base,overlay=$tmp/file"
expect_status 0 "after the VM that had FILE"

for disk in "$tmp/base,overlay=$tmp/new" "$tmp/base,overlay=$tmp/file" "$tmp/base,overlay"; do
	vmm_run --check --kernel "$elf/hello.elf" --disk "$disk"
	expect_status 0 "--check with $disk"
done
[ ! -e "$tmp/new" ] || die "--check has made a file"
refused 121 "--disk $tmp/ro,overlay=$tmp/file: it is of another base" --check --disk "$tmp/ro,overlay=$tmp/file"

refused 121 "--disk $tmp/second: it is in use: it is also --disk $tmp/second" \
	--disk "$tmp/base,overlay=$tmp/second" --disk "$tmp/base,overlay=$tmp/second"
refused 121 "--disk $tmp/base: it is in use: it is also --disk $tmp/base" --disk "$tmp/base,overlay=$tmp/base"
refused 121 "--serial file:$tmp/second: it is also --disk $tmp/second" --disk "$tmp/base,overlay=$tmp/second" --serial "file:$tmp/second"
refused 121 "--disk $tmp/ro,overlay=$tmp/file: it is of another base" --disk "$tmp/ro,overlay=$tmp/file"
refused 121 "--disk $tmp/base,overlay=$tmp: expected a regular file" --disk "$tmp/base,overlay=$tmp"
refused 121 "--disk $tmp/base,overlay=$tmp/plain: it is no overlay" --disk "$tmp/base,overlay=$tmp/plain"
refused 121 "--disk $tmp/base,overlay-dir=$tmp/none: No such" --disk "$tmp/base,overlay-dir=$tmp/none"
refused 121 "overlay=fd=8: descriptor 8 is given twice" --disk "$tmp/base,overlay=fd=8" --lifeline-fd 8 8<>"$tmp/second"
refused 121 "--disk $tmp/base,overlay=fd=8: it is open for reading only" --disk "$tmp/base,overlay=fd=8" 8<"$tmp/second"
touch "$tmp/base"
refused 121 "of one last modified at" --disk "$tmp/base,overlay=$tmp/file"
vmm_run --kernel "$elf/hello.elf" --disk "$tmp/file"
expect_status 0
expect_error "disk $tmp/file: it begins like an overlay of vmm"
