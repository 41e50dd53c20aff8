#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds guest kernels and file systems into build/guest of the repository.
#
#   guest/build.sh [TARGET...]    vmlinux bzImage vmlinux-smp bzImage-smp vmlinux-acpi bzImage-acpi
#                                 rootfs.ext4 initrd.cpio, all of these (`all`, the default), and
#                                 vmlinux-D bzImage-D initrd-D.cpio config-D for the Debian kernels D:
#                                 debian (cloud), debian-backports (cloud), debian-amd64
#   guest/build.sh --deps         the Debian packages it needs, one a line
#   guest/build.sh --cached T...  builds nothing; exit 0 if all of these targets
#                                 are in the cache, 1 if one is not
#
# Results are kept under the user's cache directory, in a folder named by a hash
# of everything they are made from, so no clone builds the same thing twice. A
# build happens in a temporary folder next to it, which is renamed when complete.
set -eu
export LC_ALL=C
unset MAKEFLAGS MFLAGS MAKELEVEL

here=$(cd "$(dirname "$0")" && pwd)
out=$(dirname "$here")/build/guest
cache=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/vmm/guest
start=$(date +%s)
work=
child=
# How many lines a kernel build writes, about; only the progress depends on it.
kernel_steps=1400

die() {
	echo "guest: $*" >&2
	exit 1
}

say() {
	printf 'guest: [%3d s] %s\n' "$(($(date +%s) - start))" "$*" >&2
}

# progress LOG TEXT: follows the kernel build $child, which writes a line a step to
# LOG: a live line on a terminal, one every 20 s elsewhere.
progress() {
	last=0
	while kill -0 "$child" 2>/dev/null; do
		sleep 1
		now=$(($(date +%s) - start))
		percent=$(($(grep -c '^  [A-Z]' "$1" || :) * 100 / kernel_steps))
		[ "$percent" -lt 100 ] || percent=99
		if [ -t 2 ]; then
			printf '\rguest: [%3d s] %s: %2d %%  ' "$now" "$2" "$percent" >&2
		elif [ $((now - last)) -ge 20 ]; then
			say "$2: $percent %"
			last=$now
		fi
	done
	[ ! -t 2 ] || printf '\r\033[K' >&2
}

# A killed build leaves no process and no temporary folder.
cleanup() {
	if [ -n "$child" ]; then
		kill "$child" 2>/dev/null || :
		wait "$child" 2>/dev/null || :
	fi
	if [ -n "$work" ]; then
		rm -rf "$work"
	fi
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

. "$here/kernel.sh"
. "$here/rootfs.sh"
. "$here/debian.sh"

deps() {
	printf '%s\n' bc binutils bison cpio e2fsprogs flex gcc libc6-dev libelf-dev \
		linux-libc-dev linux-source-6.1 kmod lz4 make musl-tools busybox-static xz-utils zstd
}

# need_deps: one line naming what is missing, instead of a failure deep inside.
need_deps() {
	missing=
	for package in $(deps); do
		dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null |
			grep -qx installed || missing="$missing $package"
	done
	[ -z "$missing" ] || die "missing Debian packages:$missing"
}

versions() {
	dpkg-query -W -f '${Package} ${Version}\n' "$@"
}

# recipe KIND: everything the result of this kind depends on.
recipe() {
	case $1 in
	source)
		versions linux-source-6.1
		declare_source
		;;
	kernel-*)
		versions linux-source-6.1 binutils
		gcc --version
		cat "$here/kernel.sh"
		kernel_config "${1#kernel-}"
		;;
	package-*)
		# Once there it is good enough: which version is the newest only the network knows.
		debian_package "${1#package-}"
		cat /etc/debian_version
		;;
	debian*)
		recipe "package-$1"
		cat "$here/debian.sh" "$here/apt-backports" "$here/vmm-extract-kernel" "$here/initrd_init.c"
		versions musl-dev binutils
		;;
	rootfs | initrd)
		versions busybox-static musl-dev e2fsprogs cpio
		gcc --version
		cat "$here/rootfs.sh" "$here/init.c" "$here/monitor_page."? "$here/vsock.c" "$here/boot_mark.c"
		;;
	esac
}

# cache_dir KIND: the folder in the cache for what is made from the present recipe.
cache_dir() {
	echo "$cache/$1-$(recipe "$1" | sha256sum | cut -c1-16)"
}

kind_of() {
	case $1 in
	vmlinux | bzImage) echo kernel-up ;;
	vmlinux-smp | bzImage-smp) echo kernel-smp ;;
	vmlinux-acpi | bzImage-acpi) echo kernel-acpi ;;
	rootfs.ext4) echo rootfs ;;
	initrd.cpio) echo initrd ;;
	vmlinux-debian* | bzImage-debian* | config-debian* | initrd-debian*.cpio)
		kernel=${1#*-}
		kernel=${kernel%.cpio}
		[ -n "$(debian_package "$kernel")" ] || die "unknown kernel '$kernel' (see the head of guest/build.sh)"
		echo "$kernel"
		;;
	*) die "unknown target '$1' (see the head of guest/build.sh)" ;;
	esac
}

# remove_leftovers: temporary folders of builds that were killed the hard way, which
# are those whose lock nobody holds.
remove_leftovers() {
	for leftover in "$cache"/*.tmp.*; do
		if [ -d "$leftover" ]; then
			flock -n "${leftover%.tmp.*}.lock" rm -rf "$leftover" || :
		fi
	done
}

# ensure KIND: builds it unless it is in the cache; sets $dir to its folder.
ensure() {
	dir=$(cache_dir "$1")
	[ ! -d "$dir" ] || return 0
	mkdir -p "$cache"
	remove_leftovers
	exec 9>"$dir.lock"
	if ! flock -n 9; then
		say "another build of the same is running, waiting for it"
		flock 9
	fi
	if [ ! -d "$dir" ]; then
		work=$(mktemp -d "$dir.tmp.XXXXXX")
		mkdir "$work/result"
		case $1 in
		source) source_unpack "$work/result" ;;
		kernel-*) kernel_build "${1#kernel-}" "$work" ;;
		package-*) debian_fetch "${1#package-}" "$work" ;;
		debian*) debian_build "$1" "$work" ;;
		rootfs) rootfs_build "$work" ;;
		initrd) initrd_build "$work" ;;
		esac
		mv -T "$work/result" "$dir"
		rm -rf "$work"
		work=
	fi
	exec 9>&-
}

# deliver TARGET: copies it from the cache to build/guest, unless that very
# version was delivered before: the file system there may have been written to.
deliver() {
	stamp=$out/.$1.from
	if [ -e "$out/$1" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$dir" ]; then
		return 0
	fi
	mkdir -p "$out"
	case $1 in
	initrd-*) made=initrd.cpio ;;
	*) made=${1%%-*} ;;
	esac
	cp --reflink=auto --sparse=always "$dir/$made" "$out/.$1.new"
	mv "$out/.$1.new" "$out/$1"
	echo "$dir" >"$stamp"
}

case ${1:-all} in
--deps)
	deps
	exit 0
	;;
--cached)
	shift
	for target; do
		kind=$(kind_of "$target")
		[ -d "$(cache_dir "$kind" 2>/dev/null)" ] || exit 1
	done
	exit 0
	;;
all) set -- vmlinux bzImage vmlinux-smp bzImage-smp vmlinux-acpi bzImage-acpi rootfs.ext4 initrd.cpio ;;
esac
for target; do
	kind_of "$target" >/dev/null
done
need_deps
for target; do
	kind=$(kind_of "$target")
	case $kind in
	kernel-*)
		[ -d "$(cache_dir "$kind")" ] || ensure source
		source=$(cache_dir source)
		;;
	debian*)
		[ -d "$(cache_dir "$kind")" ] || ensure "package-$kind"
		package=$(cache_dir "package-$kind")
		;;
	esac
	ensure "$kind"
	deliver "$target"
	say "build/guest/$target"
done
