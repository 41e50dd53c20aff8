# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by boot-time.sh: the rows of --kernels debian, Debian's own kernels as they are packaged and unpacked, with an
# initrd whose init is boot-mark, or with the ext4 image by way of the kernel's modules.

row_names=("cloud 6.1, vmlinux" "cloud 6.1, bzImage" "cloud 6.1, bzImage, no words" "cloud 6.1, ext4 root"
	"amd64 6.1, vmlinux" "amd64 6.1, bzImage" "cloud 6.12, vmlinux" "cloud 6.12, bzImage")
row_words='panic=-1 reboot=k quiet cryptomgr.notests noreplace-smp'
row_mem=256

# row_files: what the wanted rows need, in $needed: copies into the counted lab take their time.
row_files() {
	local row file files=build/guest mark=
	needed=()
	for row in "${row_names[@]}"; do
		[[ $row == *"$only"* ]] || continue
		row_use "$row"
		for file in "$kernel" "$initrd" "$rootfs"; do
			[ -z "$file" ] || [[ " ${needed[*]} " == *" $file "* ]] || needed+=("$file")
		done
	done
	[ ${#needed[@]} -gt 0 ] || bad_usage "--rows '$only': there is no such row"
}

# make_mark_initrd FILE: an initrd with one file, boot-mark.
make_mark_initrd() {
	mkdir "$tmp/mark"
	(cd "$tmp/mark" && cpio -i --quiet --to-stdout sbin/boot-mark >init) <build/guest/initrd.cpio
	chmod 755 "$tmp/mark/init"
	(cd "$tmp/mark" && echo init | cpio -o -H newc -R 0:0 --quiet) >"$1"
}

# row_use NAME: sets kernel, initrd, rootfs (empty without one) and words, in the folder $files.
row_use() {
	local flavour=debian
	case $1 in
	amd64*) flavour=debian-amd64 ;;
	*6.12*) flavour=debian-backports ;;
	esac
	kernel=$files/vmlinux-$flavour initrd=$mark rootfs= words=$row_words
	case $1 in
	*bzImage*) kernel=$files/bzImage-$flavour ;;
	*ext4*) initrd=$files/initrd-$flavour.cpio rootfs=$files/rootfs.ext4 words+=' init=/sbin/boot-mark' ;;
	esac
	case $1 in
	*'no words') words= ;;
	esac
}
