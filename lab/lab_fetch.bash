# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Sourced by the script `lab`: fetches kernels and emulators by Debian package name into the cache, once.

# From here on apt sees the release's backports alone.
open_backports() { # directory
	"$here/../guest/apt-backports" "$1" || fail "no backports (see above)"
	export APT_CONFIG="$1/apt.conf"
}

# Unpacks packages into $1/root.
packages_unpack() { # directory, package...
	local directory=$1
	shift
	echo "lab: fetching $*" >&2
	(cd "$directory" && apt-get -q download "$@" >log 2>&1 &&
		for file in ./*.deb; do dpkg -x "$file" root || exit 1; done 2>>log) ||
		{ cat "$directory/log" >&2; rm -rf "$directory"; fail "downloading $* failed (see above)"; }
}

# The newest kernel of the wanted kind in the cache, complete for the wanted emulator; nothing if there is none.
find_kernel() {
	local found
	found=$(find "$cache" -maxdepth 1 -name "${host_kernel:+host-}kernel-${host_kernel:-[0-9]}*" | sort -V | tail -n 1)
	[ "$cpu" = amd ] || [ -e "$found/vmlinuz" ] || return 0
	echo "$found"
}

# Unpacks Debian's newest cloud kernel into the cache, once; an older one already there is good enough.
fetch_kernel() {
	local package work release APT_CONFIG
	work=$(mktemp -d "$cache/new.XXXXXX")
	[ -z "$host_kernel" ] || open_backports "$work/apt"
	package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
		sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\).*/\1/p' | head -n 1)
	[ -n "$package" ] || fail "apt knows no linux-image-cloud-amd64: run apt-get update"
	[[ $package == linux-image-${host_kernel:-[0-9]}* ]] ||
		fail "--host-kernel $host_kernel: Debian's backports have $package"
	packages_unpack "$work" "$package"
	mkdir "$work/kernel"
	mv "$work"/root/boot/vmlinuz-* "$work/kernel/vmlinuz"
	# Entered through PVH it spares the emulator the decompression, 1 s.
	"$here/../guest/vmm-extract-kernel" "$work/kernel/vmlinuz" "$work/kernel/vmlinux" &&
		readelf -n "$work/kernel/vmlinux" | grep -q Xen ||
		{ rm -rf "$work"; fail "$package holds no kernel with a PVH entry"; }
	mv "$work/root/lib" "$work/kernel/lib"
	release=$(basename "$work"/kernel/lib/modules/*)
	depmod -b "$work/kernel" "$release" || { rm -rf "$work"; fail "depmod failed"; }
	mv -T "$work/kernel" "$cache/${host_kernel:+host-}kernel-$release" 2>/dev/null ||
		mv "$work/kernel/vmlinuz" "$cache/${host_kernel:+host-}kernel-$release/"
	rm -rf "$work"
}

# Unpacks QEMU of Debian's backports into the cache, once. It runs from there, with the libraries and the
# BIOS that belong to the installed one.
fetch_qemu() {
	local work APT_CONFIG
	[ ! -d "$cache/qemu-$qemu" ] || return 0
	work=$(mktemp -d "$cache/new.XXXXXX")
	open_backports "$work/apt"
	apt-cache policy qemu-system-x86 | grep -q "^ *Candidate: 1:$qemu\." ||
		fail "--qemu $qemu: not in Debian's backports"
	packages_unpack "$work" qemu-system-x86 qemu-system-data
	"$work/root/usr/bin/qemu-system-x86_64" --version >"$work/log" 2>&1 ||
		{ cat "$work/log" >&2; rm -rf "$work"; fail "QEMU $qemu does not run here (see above)"; }
	mv -T "$work/root" "$cache/qemu-$qemu"
	rm -rf "$work"
}
