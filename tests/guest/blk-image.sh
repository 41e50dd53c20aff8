#!/bin/bash
# SPDX-License-Identifier: MIT
# Warnings of an image that is not what its user may think: another format, a tail that is no sector, a second user
# on the host. The VM runs all the same; only a device that cannot be written is refused.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

# boots DISK [REGEX]: the VM ends well, with this one line on stderr or none.
boots() {
	vmm_run --kernel "$elf/hello.elf" --disk "$1"
	expect_status 0 "$1"
	if [ $# -gt 1 ]; then expect_error "disk ${1%,ro}: $2"; else expect_no_errors; fi
}

image=$tmp/disk
truncate -s 1M "$image"
boots "$image"
while IFS=: read -r magic what; do
	cp "$image" "$tmp/other"
	printf "$magic" | dd of="$tmp/other" conv=notrunc status=none
	boots "$tmp/other" "it begins like $what; "
	boots "$tmp/other,ro" "it begins like $what; "
done <<'END'
QFI\xfb:a qcow2 image
KDMV:a VMDK image
# Disk DescriptorFile:a VMDK image's descriptor
conectix:a VHD image
vhdxfile:a VHDX image
\x1f\x8b:a gzip file
\xfd7zXZ\x00:an xz file
\x28\xb5\x2f\xfd:a zstd file
END
gzip -c "$image" >"$tmp/packed"
truncate -s 512 "$tmp/packed"
boots "$tmp/packed" "it begins like a gzip file"
truncate -s 1048676 "$tmp/odd"
boots "$tmp/odd" "its last 100 bytes "
boots "$tmp/odd,ro" "its last 100 bytes "

[ "$(id -u)" -eq 0 ] && loop=$(losetup --find --show "$image" 2>/dev/null) ||
	skip "no loop device can be had here: the rest was not tried"
at_exit losetup -d "$loop"
at_exit umount "$tmp/mnt"
boots "$image" "it is also the host's $loop "
boots "$image,ro" "it is also the host's $loop "
boots "$loop,ro"
boots "$loop"
# The host may let go of it a moment after the monitor's end.
for ((i = 0; i < 500; i++)); do
	python3 -c 'import os, sys; os.open(sys.argv[1], os.O_EXCL)' "$loop" 2>/dev/null && break
	sleep 0.01
done
mkfs.ext4 -q "$loop" >/dev/null 2>&1
mkdir "$tmp/mnt"
if mount "$loop" "$tmp/mnt" 2>/dev/null; then
	boots "$loop,ro" "it is mounted or otherwise in use on the host"
	vmm_run --kernel "$elf/hello.elf" --disk "$loop"
	expect_error "--disk $loop: .*busy"
	umount "$tmp/mnt"
fi
# As long as something of the host has it open, it keeps its image.
losetup -d "$loop"
for ((i = 0; i < 500; i++)); do
	losetup "$loop" >/dev/null 2>&1 || break
	sleep 0.01
done
loop=$(losetup --read-only --find --show "$image")
at_exit losetup -d "$loop"
boots "$image,ro"
boots "$loop,ro"
vmm_run --kernel "$elf/hello.elf" --disk "$loop"
[ "$status" != 0 ] || die "a read-only device is taken for writing"
expect_error "--disk $loop: the device is read-only \(with ,ro "
