#!/bin/bash
# SPDX-License-Identifier: MIT
# A guest without any disk runs from its initrd, with either image kind, at the smallest memory too.
. "$(dirname "$0")/lib.sh"

boot_initrd() { # KERNEL MIB
	vm_run initrd --kernel "$(guest_file "$1")" --mem "$2M" --initrd "$(guest_file initrd.cpio)" \
		--cmdline '-- sh -c "echo files $(busybox sha256sum /bin/busybox); echo disks $(ls /sys/block | grep -c vd)"'
	expect_status 0 "$1"
	expect_empty "$work/initrd.err"
	expect_text "$work/initrd.out" "files $(sha256_of "$(command -v busybox)")"
	expect_text "$work/initrd.out" "disks 0"
	echo "$1, $2 MiB: ends after $elapsed_ms ms"
}

boot_initrd vmlinux 64
boot_initrd bzImage-smp 128
# The size that the monitor names as the least is enough.
for kernel in vmlinux-smp bzImage; do
	mib=$({ "$vmm" --kernel "$(guest_file $kernel)" --initrd "$(guest_file initrd.cpio)" --mem 2M 2>&1 || :; } |
		sed -n 's/.*it needs at least --mem \([0-9]*\)M, .*/\1/p')
	boot_initrd $kernel "$mib"
done
passed "4 boots"
