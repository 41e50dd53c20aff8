#!/bin/bash
# SPDX-License-Identifier: MIT
# Blocks that the guest discards go back to the host's file system, and reads as zeroes; writing zeroes
# zeroes exactly the range; fstrim of the mounted root frees a deleted file's space.
. "$(dirname "$0")/lib.sh"

allocated_kib() { # FILE
	du -k "$1" | cut -f 1
}

data=$work/data.img
head -c 16M /dev/urandom >"$data"
cp "$data" "$work/expected"
root=$(image_copy root)
image_put "$root" "$repo/build/tests/linux/zero_range" /sbin/zero_range
head -c 20M /dev/urandom >"$work/big"
image_put "$root" "$work/big" /big
root_before=$(allocated_kib "$root")
guest_script "$root" <<'END'
zero_range discard /dev/vdb $((1 << 20)) $((4 << 20)) || failed discard
zero_range zero /dev/vdb $(((6 << 20) + 512)) $(((1 << 20) + 1024)) || failed zero
zero_range keep /dev/vdb $((10 << 20)) $((2 << 20)) || failed keep
sync
report hash $(sha256sum </dev/vdb | cut -d ' ' -f 1)
report max $(cat /sys/block/vdb/queue/discard_max_bytes) $(cat /sys/block/vdb/queue/write_zeroes_max_bytes)
rm /big && sync && fstrim / || failed fstrim
END
vm_run discard --kernel "$(guest_file bzImage)" --rootfs "$root" --disk "$data" --cmdline "$run_script"
expect_status 0
expect_empty "$work/discard.err"
expect_clean "$root"
read_report "$root"
case $(report_value max) in *0*" "*[1-9]* | *[1-9]*" "*[1-9]*) ;; *) fail "no limits announced" ;; esac
zero() { dd if=/dev/zero of="$work/expected" bs=512 seek="$1" count="$2" conv=notrunc status=none; }
zero 2048 8192
zero $((6 * 2048 + 1)) 2050
zero $((10 * 2048)) 4096
cmp "$work/expected" "$data" || fail "the zeroed ranges are not exactly those asked for"
expect_equal "hash in the guest" "$(sha256_of "$work/expected")" "$(report_value hash)"
# 4 MiB discarded and 1 MiB zeroed with permission to unmap are free; the last 2 MiB need not be.
expect_range "KiB allocated for the disk" "$(allocated_kib "$data")" $((9 * 1024)) $((11 * 1024 + 64))
freed=$((root_before - $(allocated_kib "$root")))
expect_range "KiB freed by fstrim" $freed $((19 * 1024)) $((64 * 1024))
passed "$((16 * 1024 - $(allocated_kib "$data"))) KiB and $freed KiB freed, $elapsed_ms ms"
