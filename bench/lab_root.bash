# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For benches in the counted lab: a root directory in RAM for the monitors.

# peer_files PROGRAM: the files that a dynamic program needs: its interpreter and libraries, and QEMU its firmware.
peer_files() {
	ldd "$(command -v "$1")" 2>/dev/null | grep -o '/[^ ]*'
	[ "$1" != qemu-system-x86_64 ] || printf '/usr/share/qemu/%s\n' qboot.rom bios-microvm.bin linuxboot_dma.bin pvh.bin
}

# Inside the emulated machine everything that a monitor opens lies in RAM, in a root directory of its own: the host's
# files come through a slow mount, and whoever waits for it is charged with counts that are none.
make_root() {
	local file
	cd /run/lab
	mkdir -p dev proc sys lib64 lib/x86_64-linux-gnu usr/bin usr/share/qemu
	mount --rbind /dev dev && mount --rbind /proc proc && mount --rbind /sys sys
	for file in *; do
		case $file in
		qemu-system-x86_64 | firecracker | lkvm) mv "$file" usr/bin/ ;;
		ld-linux*) mv "$file" lib64/ ;;
		*.so*) mv "$file" lib/x86_64-linux-gnu/ ;;
		*.rom | *.bin) mv "$file" usr/share/qemu/ ;;
		esac
	done
	/sbin/ldconfig -nN lib/x86_64-linux-gnu # the names that programs ask for
	# Debian's is a link, and what is copied is what it leads to.
	[ -e usr/share/qemu/bios-microvm.bin ] || ln -s qboot.rom usr/share/qemu/bios-microvm.bin
	cd - >/dev/null
}
