#!/bin/bash
# SPDX-License-Identifier: MIT
# A virtio-blk driver that polls: reads, writes, flush, get-id, discard, write-zeroes, direct and indirect, with
# EVENT_IDX, at depth 32; errors at the disk's end; a second, read-only disk. The image is checked here.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

# sectors FROM COUNT [BYTE]: COUNT sectors; each is filled with its number modulo 251, or begins with it (64 bits)
# and is filled with BYTE.
sectors() {
	LC_ALL=C awk -v from="$1" -v count="$2" -v byte="${3-}" 'BEGIN {
		for (i = from; i < from + count; i++) {
			fill = byte
			if (byte == "")
				fill = sprintf("%c", i % 251)
			else
				printf "%c%c%c%c%c%c%c%c", i, 0, 0, 0, 0, 0, 0, 0
			for (n = byte == "" ? 0 : 8; n < 512; n++)
				printf "%s", fill
		}
	}'
}

# 4 MiB and 100 bytes: the rest that is no sector stays out of reach, and untouched.
sectors 0 64 's' >"$tmp/disk"
truncate -s 4M "$tmp/disk"
head -c 100 /dev/zero | tr '\0' t >>"$tmp/disk"
head -c 1536 /dev/zero | tr '\0' r >"$tmp/ro"
printf 'read only disk 1' | dd of="$tmp/ro" bs=1 seek=512 conv=notrunc status=none
cp "$tmp/disk" "$tmp/before"
cp "$tmp/ro" "$tmp/ro-before"
chmod 444 "$tmp/ro"

vmm_run --kernel "$elf/blk_io.elf" --disk "$tmp/disk" --disk "$tmp/ro,ro"
expect_status 0
expect_error "disk $tmp/disk: its last 100 bytes "
expect_output "start ok
capacity 0x2000
read ok
write deep ok
read deep ok
zeroes and discard ok
big ok
beyond the end ok
unknown types ok
get-id ok
get-id ends in time ok
id vmm-disk-0
indirect start ok
indirect read ok
indirect write ok
flush ok
event-idx start ok
event-idx read ok
ro start ok
ro offers no discard ok
ro capacity 0x3
ro read ok
read only disk 1ro write ok
ro flush ok
ro write-zeroes ok
ro discard ok"

{
	head -c $((64 * 512)) "$tmp/before"
	sectors 64 32
	head -c $((16 * 512)) /dev/zero
} >"$tmp/expected"
cmp -n $((112 * 512)) "$tmp/expected" "$tmp/disk" || die "the image is not what the guest wrote"
head -c 4096 /dev/zero | tr '\0' i | cmp - <(tail -c +$((120 * 512 + 1)) "$tmp/disk" | head -c 4096) ||
	die "indirect write"
sectors 0 251 >"$tmp/pattern"
for ((i = 0; i < 9; i++)); do cat "$tmp/pattern"; done | head -c 1048576 |
	cmp - <(tail -c +$((2048 * 512 + 1)) "$tmp/disk" | head -c 1048576) || die "the write of 1 MiB"
cmp <(tail -c 100 "$tmp/before") <(tail -c 100 "$tmp/disk") || die "the last, partial sector has changed"
[ "$(stat -c %s "$tmp/disk")" = "$(stat -c %s "$tmp/before")" ] || die "the image's size has changed"
cmp "$tmp/ro" "$tmp/ro-before" || die "the read-only disk has changed"
