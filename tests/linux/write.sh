#!/bin/bash
# 64 MiB of random bytes written to a file, synced, the VM reset by the guest: both file systems are
# clean on the host without any repair, and the file's hash is the guest's.
. "$(dirname "$0")/lib.sh"

mib=64
root=$(image_copy root)
data=$work/data.ext4
truncate -s $((mib * 2))M "$data"
mke2fs -q -t ext4 -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 "$data"
guest_script "$root" <<END
mount /dev/vdb /mnt || failed mount
head -c $((mib << 20)) /dev/urandom | tee /mnt/random | md5sum | cut -d ' ' -f 1 >/out/hash
sync; echo 3 >/proc/sys/vm/drop_caches
report again \$(md5sum </mnt/random | cut -d ' ' -f 1)
umount /mnt || failed umount
END
vm_run write --kernel "$(guest_file bzImage)" --rootfs "$root" --disk "$data" --cmdline "$run_script"
expect_status 0
expect_empty "$work/write.err"
expect_clean "$root"
expect_clean "$data"
read_report "$root"
hash=$(image_get "$root" /out/hash)
expect_equal "bytes of the file" $((mib << 20)) "$(image_get "$data" /random | wc -c)"
expect_equal "hash on the host" "$hash" "$(image_get "$data" /random | md5sum | cut -d ' ' -f 1)"
expect_equal "hash read again in the guest" "$hash" "$(report_value again)"
passed "$mib MiB, $elapsed_ms ms"
