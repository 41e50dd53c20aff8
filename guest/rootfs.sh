# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
# Sourced by build.sh, whose variables it uses: the file system tree and the two
# images made from it.

rootfs_mib=64
busybox=/bin/busybox

# program_compile FILE NAME...: our NAME.c as a static program.
program_compile() {
	program=$1
	shift
	for source in "$@"; do
		set -- "$@" "$here/$source.c"
		shift
	done
	musl-gcc -std=gnu11 -D_GNU_SOURCE -O2 -static -s -Wall -Wextra -Wshadow -Wconversion -Werror \
		-idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu \
		-o "$program" "$@" || die "compiling $* failed"
}

# tree_etc DIR: the files below /etc, and the script that applies a DHCP lease.
tree_etc() {
	echo 'root:x:0:0:root:/root:/bin/sh' >"$1/etc/passwd"
	printf '%s\n' 'root:x:0:' 'tty:x:5:' 'nogroup:x:65534:' >"$1/etc/group"
	echo 'nobody:x:65534:65534:nobody:/:/bin/false' >>"$1/etc/passwd"
	echo guest >"$1/etc/hostname"
	printf '%s\n' '127.0.0.1 localhost guest' '::1 localhost' >"$1/etc/hosts"
	printf '%s\n' 'NAME="vmm guest"' 'ID=vmm-guest' >"$1/etc/os-release"
	echo '/dev/vda / ext4 defaults 0 1' >"$1/etc/fstab"
	ln -s /proc/mounts "$1/etc/mtab"
	cat >"$1/etc/profile" <<'END'
export PS1='\h:\w\$ '
umask 022
cd "$HOME"
END
	cat >"$1/etc/udhcpc/default.script" <<'END'
#!/bin/sh
case $1 in
deconfig) ip addr flush dev "$interface"; ip link set "$interface" up ;;
bound | renew)
	ip addr replace "$ip/$mask" dev "$interface"
	for gateway in $router; do ip route replace default via "$gateway"; break; done
	for server in $dns; do echo "nameserver $server"; done >/etc/resolv.conf ;;
esac
END
	chmod 755 "$1/etc/udhcpc/default.script"
}

# tree_make DIR: the whole tree below the new directory DIR.
tree_make() {
	"$busybox" true || die "$busybox does not run (package busybox-static)"
	for folder in bin sbin usr/bin usr/sbin etc/udhcpc usr/local/bin usr/local/sbin etc \
		dev proc sys run tmp root mnt var/log var/tmp var/lib; do
		mkdir -p "$1/$folder"
	done
	chmod 1777 "$1/tmp" "$1/var/tmp"
	chmod 700 "$1/root"
	ln -s /run "$1/var/run"
	cp "$busybox" "$1/bin/busybox"
	"$busybox" --list-full | while read -r applet; do
		case $applet in
		bin/busybox | linuxrc | sbin/init) ;;
		*)
			mkdir -p "$1/$(dirname "$applet")"
			ln -s /bin/busybox "$1/$applet"
			;;
		esac
	done
	program_compile "$1/sbin/init" init monitor_page
	program_compile "$1/usr/bin/vsock" vsock
	program_compile "$1/sbin/boot-mark" boot_mark
	ln -s sbin/init "$1/init"
	tree_etc "$1"
}

# as_root COMMAND...: the files of the tree belong to root in the images.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		unshare -r "$@"
	fi
}

# rootfs_build WORK: WORK/result/rootfs.ext4.
rootfs_build() {
	say "making rootfs.ext4"
	umask 022
	tree_make "$1/tree"
	# Nothing is left for the guest to initialise in the background.
	truncate -s "${rootfs_mib}M" "$1/rootfs.ext4"
	as_root mke2fs -q -t ext4 -b 4096 -m 0 -N 8192 -L root -O ^resize_inode \
		-E lazy_itable_init=0,lazy_journal_init=0,nodiscard \
		-d "$1/tree" "$1/rootfs.ext4" || die "mke2fs failed"
	cp --sparse=always "$1/rootfs.ext4" "$1/result/rootfs.ext4"
}

# initrd_build WORK: WORK/result/initrd.cpio, the same tree, not compressed.
initrd_build() {
	say "making initrd.cpio"
	umask 022
	tree_make "$1/tree"
	(cd "$1/tree" && find . | sort | cpio -o -H newc -R 0:0 --reproducible --quiet) \
		>"$1/result/initrd.cpio"
}
