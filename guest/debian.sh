# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154,SC1091,SC2016
# Sourced by build.sh, whose variables it uses: Debian's own kernels, fetched by package name and never installed, and
# an initrd of their modules.

# debian_package KERNEL: the package that depends on the newest of these kernels.
debian_package() {
	case $1 in
	debian | debian-backports) echo linux-image-cloud-amd64 ;;
	debian-amd64) echo linux-image-amd64 ;;
	esac
}

# debian_fetch KERNEL WORK: what the package holds, as WORK/result/{boot,lib}.
debian_fetch() {
	unset APT_CONFIG
	if [ "$1" = debian-backports ]; then
		"$here/apt-backports" "$2/apt" || die "no backports (see above)"
		export APT_CONFIG="$2/apt/apt.conf"
	fi
	package=$(apt-cache depends "$(debian_package "$1")" 2>/dev/null |
		sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\).*/\1/p' | head -n 1)
	[ -n "$package" ] || die "apt knows no $(debian_package "$1") (run apt-get update)"
	say "fetching $package"
	mkdir "$2/deb"
	(cd "$2/deb" && apt-get -q download "$package" >"$2/log" 2>&1) ||
		{ cat "$2/log" >&2 && die "downloading $package failed (see above)"; }
	dpkg -x "$2"/deb/*.deb "$2/tree" || die "$package cannot be unpacked"
	mkdir "$2/result/lib"
	mv "$2/tree/boot" "$2/result/boot"
	mv "$2/tree/lib/modules" "$2/result/lib/modules"
	depmod -b "$2/result" "$(basename "$2"/result/lib/modules/*)" || die "depmod failed"
}

# modules_list PACKAGE: lines of a virtio device type and a module, in an order in which they can be loaded. 0 is for
# any machine, 1 a network interface, 2 a disk and its file system, 19 a vsock.
modules_list() {
	release=$(basename "$1"/lib/modules/*)
	while read -r type names; do
		# shellcheck disable=SC2086 # words
		modprobe -D -d "$1" -S "$release" -a $names | sed -n "s/^insmod \([^ ]*\).*/$type \1/p"
	done <<-END_MODULES | awk '$1 == 0 { always[$2] = 1 } ($1 == 0 || !always[$2]) && !seen[$0]++'
		0 virtio_mmio
		2 virtio_blk ext4 crc32c
		1 virtio_net
		19 vmw_vsock_virtio_transport
	END_MODULES
}

# module_unpack FILE TARGET: without debug information, local symbols and its signature, which Linux would check for
# longer than all the rest takes; it says that it is tainted then.
module_unpack() {
	case $1 in
	*.xz) xz -dc "$1" >"$2" ;;
	*.zst) zstd -qdc "$1" >"$2" ;;
	*) cp "$1" "$2" ;;
	esac
	strip --strip-unneeded "$2"
}

# debian_build KERNEL WORK: bzImage, vmlinux, initrd.cpio and config into WORK/result, from the package in $package.
debian_build() {
	say "making the initrd of $(basename "$package"/lib/modules/*)"
	umask 022
	cp "$package"/boot/vmlinuz-* "$2/result/bzImage"
	cp "$package"/boot/config-* "$2/result/config"
	"$here/vmm-extract-kernel" "$2/result/bzImage" "$2/result/vmlinux" || die "no vmlinux"
	mkdir -p "$2/tree/modules"
	program_compile "$2/tree/init" initrd_init
	modules_list "$package" >"$2/list"
	[ -s "$2/list" ] || die "modprobe has listed no module"
	while read -r type file; do
		name=${file##*/} name=${name%.ko*}.ko
		[ -e "$2/tree/modules/$name" ] || module_unpack "$file" "$2/tree/modules/$name" ||
			die "$file cannot be unpacked"
		echo "$type /modules/$name"
	done <"$2/list" >"$2/tree/modules/list"
	(cd "$2/tree" && find . | sort | cpio -o -H newc -R 0:0 --reproducible --quiet) \
		>"$2/result/initrd.cpio"
}
