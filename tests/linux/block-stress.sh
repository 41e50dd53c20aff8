#!/bin/bash
# SPDX-License-Identifier: MIT
# Two vCPUs write, copy, verify and delete on two disks at once, while the driver of a third disk is
# unbound and bound again and again with reads and writes on their way: every checksum holds, nothing
# hangs, and the file systems are clean.
. "$(dirname "$0")/lib.sh"

rounds=4
root=$(image_copy root)
data=$work/data.ext4
truncate -s 64M "$data"
mke2fs -q -t ext4 -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 "$data"
head -c 8M /dev/urandom >"$work/unbound.img"
hash=$(sha256_of "$work/unbound.img")
guest_script "$root" <<END
mount /dev/vdb /mnt || failed mount
mkdir /w /mnt/w
worker() { # DIRECTORY NUMBER
	local i=0
	while [ \$i -lt $rounds ]; do
		head -c \$((100000 + \$2 * 70001)) /dev/urandom >\$1/a\$2
		cp \$1/a\$2 \$1/b\$2
		sync
		[ \$((i % 2)) -eq 0 ] || echo 3 >/proc/sys/vm/drop_caches
		cmp \$1/a\$2 \$1/b\$2 || failed "copy \$2 in \$1 differs"
		rm \$1/b\$2
		i=\$((i + 1))
	done
	sha256sum \$1/a\$2 >\$1/sum\$2
}
pids=
for n in 1 2 3; do worker /w \$n & pids="\$pids \$!"; worker /mnt/w \$n & pids="\$pids \$!"; done

driver=/sys/bus/virtio/drivers/virtio_blk
device=\$(basename \$(readlink -f /sys/block/vdc/device))
n=0
while [ \$n -lt 6 ]; do
	# Odd rounds with I/O on its way, even ones on an idle disk. The data is written back unchanged,
	# and opened here: a name that is gone in the middle must not become a file in /dev. Who has the disk open keeps
	# its name: the next is vdd until all have ended.
	io=
	if [ \$((n % 2)) -eq 1 ]; then
		exec 5</dev/vdc 6</dev/vdc 7<>/dev/vdc
		dd bs=4k of=/dev/null <&5 2>/dev/null & io=\$!
		(dd bs=1M count=4 <&6 | dd bs=64k conv=fsync >&7) 2>/dev/null & io="\$io \$!"
		exec 5<&- 6<&- 7>&-
	fi
	echo \$device >\$driver/unbind || failed "unbind \$n"
	for pid in \$io; do wait \$pid; done
	echo \$device >\$driver/bind || failed "bind \$n"
	i=0
	while [ ! -b /dev/vdc ] && [ \$i -lt 500 ]; do usleep 20000; i=\$((i + 1)); done
	n=\$((n + 1))
done
report unbound \$n
report hash \$(sha256sum </dev/vdc | cut -d ' ' -f 1)
for pid in \$pids; do wait \$pid || failed "worker \$pid"; done
cat /w/sum* /mnt/w/sum* >/out/sums
sync
echo 3 >/proc/sys/vm/drop_caches
sha256sum -c -s /out/sums || failed "checksums"
dmesg | grep -E 'WARNING|BUG:|Call Trace|EXT4-fs error|blocked for' >/out/complaints
umount /mnt || failed umount
END
vm_run stress --kernel "$(guest_file bzImage-smp)" --cpus 2 --rootfs "$root" --disk "$data" \
	--disk "$work/unbound.img" --cmdline "$run_script"
expect_status 0
expect_empty "$work/stress.err"
expect_clean "$root"
expect_clean "$data"
read_report "$root"
expect_equal "times unbound" 6 "$(report_value unbound)"
expect_equal "hash of the unbound disk in the guest" "$hash" "$(report_value hash)"
expect_equal "hash of the unbound disk" "$hash" "$(sha256_of "$work/unbound.img")"
image_get "$root" /out/complaints >"$work/complaints"
expect_empty "$work/complaints"
expect_equal "files with a checksum" 6 "$(image_get "$root" /out/sums | wc -l)"
while read -r sum path; do
	case $path in
	/mnt/*) got=$(image_get "$data" "${path#/mnt}" | sha256sum) ;;
	*) got=$(image_get "$root" "$path" | sha256sum) ;;
	esac
	expect_equal "hash of $path on the host" "$sum" "${got%% *}"
done < <(image_get "$root" /out/sums)
passed "6 files verified, 6 times unbound, $elapsed_ms ms"
