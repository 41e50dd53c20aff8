#!/bin/bash
# SPDX-License-Identifier: MIT
# 64 MiB of random bytes, from a read-only disk, written to a file, synced, the VM reset by the guest: both
# file systems are clean on the host without any repair, and the hash is right, in the guest, too.
. "$(dirname "$0")/lib.sh"

mib=64
root=$(image_copy root)
data=$work/data.ext4
truncate -s $((mib * 2))M "$data"
mke2fs -q -t ext4 -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 "$data"
head -c ${mib}M /dev/urandom >"$work/random"
hash=$(md5sum <"$work/random" | cut -d ' ' -f 1)
guest_script "$root" <<'END'
mount /dev/vdb /mnt || failed mount
cat /dev/vdc >/mnt/random || failed cat
sync; echo 3 >/proc/sys/vm/drop_caches
report hash $(md5sum </mnt/random | cut -d ' ' -f 1)
umount /mnt || failed umount
END
vm_run write --kernel "$(guest_file bzImage)" --rootfs "$root" --disk "$data" \
	--disk "$work/random,ro" --cmdline "$run_script"
expect_status 0
expect_empty "$work/write.err"
expect_clean "$root"
expect_clean "$data"
read_report "$root"
expect_equal "hash read again in the guest" "$hash" "$(report_value hash)"
image_get "$data" /random | cmp - "$work/random" || fail "the file on the host differs"
passed "$mib MiB, $elapsed_ms ms"
