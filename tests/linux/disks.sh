#!/bin/bash
# SPDX-License-Identifier: MIT
# All sixteen disks at once: --disk gives /dev/vdb, vdc, ... in order, each with its image's size in
# whole sectors, whatever the number of bytes; each is read and written up to its last sector, and
# bytes behind the last whole sector stay as they are.
. "$(dirname "$0")/lib.sh"

letters=(b c d e f g h i j k l m n o p)
sizes=(512 4608 1024 $((512 * 77 + 100)) $((512 * 8 + 511)) $((1 << 20)) $(((1 << 20) + 512)) \
	65536 65537 66048 $((512 * 3)) $((512 * 1000 + 1)) $((512 * 63)) 8192 $((2 << 20)))
options=()
mkdir "$work/whole"
head -c 2M /dev/urandom >"$work/random"
for i in "${!sizes[@]}"; do
	image=$work/disk$i.img
	{
		printf 'disk %02d\n' "$i"
		head -c $((sizes[i] - 8)) "$work/random"
	} >"$image"
	options+=(--disk "$image")
	head -c $((sizes[i] / 512 * 512)) "$image" >"$work/whole/vd${letters[i]}"
	cp "$image" "$image.before"
done

root=$(image_copy root)
guest_script "$root" <<'END'
dmesg -n 1
sha256sum /dev/vd[b-p] >/out/hashes
for d in b c d e f g h i j k l m n o p; do
	dev=/dev/vd$d
	read -r sectors </sys/block/vd$d/size
	read -r name <$dev
	report vd$d $name, $sectors sectors
	printf 'last of %s' $d | dd of=$dev bs=512 seek=$((sectors - 1)) conv=notrunc,sync,fsync 2>/dev/null ||
		failed "write the last sector of $d"
	if dd if=/dev/zero of=$dev bs=512 seek=$sectors count=1 conv=notrunc 2>/dev/null; then
		failed "$d takes a sector behind its end"
	fi
done
report disks $(ls /sys/block | grep -c '^vd')
END
vm_run disks --kernel "$(guest_file bzImage)" --rootfs "$root" "${options[@]}" --cmdline "$run_script"
expect_status 0
# Only what is said of the images whose last bytes are no sector.
odd=0
for size in "${sizes[@]}"; do [ $((size % 512)) = 0 ] || odd=$((odd + 1)); done
expect_equal "lines on stderr" $odd "$(grep -c ': its last [0-9]* bytes are no whole sector of 512' "$work/disks.err")"
expect_equal "other lines" $odd "$(wc -l <"$work/disks.err")"
expect_clean "$root"
read_report "$root"
expect_equal "number of disks" 16 "$(report_value disks)"
expect_equal "hashes of the disks in the guest" "$(cd "$work/whole" && sha256sum vd?)" \
	"$(image_get "$root" /out/hashes | sed 's|/dev/||')"
for i in "${!sizes[@]}"; do
	d=${letters[i]}
	image=$work/disk$i.img
	sectors=$((sizes[i] / 512))
	expect_equal "vd$d" "$(printf 'disk %02d, %d sectors' "$i" $sectors)" "$(report_value "vd$d")"
	printf 'last of %s' "$d" | dd of="$image.before" bs=512 seek=$((sectors - 1)) \
		conv=notrunc,sync status=none
	cmp "$image.before" "$image" || fail "vd$d (${sizes[i]} bytes) differs after the guest's write"
done
passed "16 disks, 512 bytes to 64 MiB, ends after $elapsed_ms ms"
