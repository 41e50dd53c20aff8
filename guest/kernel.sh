# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
# Sourced by build.sh, whose variables it uses: the kernel source and the kernels.

tarball=/usr/src/linux-source-6.1.tar.xz

# Source that no configuration of ours compiles; what make and Kconfig read stays.
unwanted() {
	top=linux-source-6.1
	printf '%s\n' "$top/arch/[a-wyz]*/*.[chS]" "$top/arch/um/*.[chS]" '*.dts' '*.dtsi' \
		"$top/Documentation/*.rst" "$top/Documentation/*.yaml" "$top/sound/*.[ch]" \
		"$top/tools/perf" "$top/tools/testing"
	for driver in gpu/drm infiniband media net/ethernet net/wireless scsi staging usb; do
		echo "$top/drivers/$driver/*.[ch]"
	done
}

declare_source() {
	unwanted
}

# source_unpack DIR: the kernel source, as far as it is needed, into the empty DIR.
source_unpack() {
	[ -r "$tarball" ] || die "$tarball is not there (package linux-source-6.1)"
	say "unpacking the kernel source"
	unwanted >"$work/unwanted"
	tar -xJf "$tarball" -C "$1" --strip-components=1 --exclude-from="$work/unwanted"
}

# kernel_config FLAVOUR: the requested options: up (no SMP), smp, or acpi (up with ACPI). An option that is
# named twice has what the later file says.
kernel_config() {
	case $1 in
	acpi) set -- up acpi ;;
	esac
	for part in '' "$@"; do
		cat "$here/kernel${part:+-$part}.config"
	done | awk '
		{ line[NR] = $0; name = "" }
		/^CONFIG_/ { name = $0; sub(/=.*/, "", name) }
		/^# CONFIG_.* is not set$/ { name = $2 }
		{ named[NR] = name; last[name] = NR }
		END { for (i = 1; i <= NR; i++) if (named[i] == "" || last[named[i]] == i) print line[i] }'
}

# config_check CONFIG <REQUESTED: fails if a requested line did not survive.
config_check() {
	lost=
	while read -r line; do
		case $line in
		CONFIG_*) grep -qxF "$line" "$1" || lost="$lost $line" ;;
		'# CONFIG_'*' is not set')
			name=${line#\# }
			! grep -q "^${name%% *}=" "$1" || lost="$lost !${name%% *}"
			;;
		esac
	done
	[ -z "$lost" ] || die "kernel options that did not stick:$lost"
}

# kernel_build FLAVOUR WORK: vmlinux and bzImage of this flavour into WORK/result.
kernel_build() {
	object=$2/object
	mkdir "$object"
	# The image names neither the builder nor the moment. gcc compiles boot code for size, and clears bss and hash
	# tables byte by byte; the kernel's own memset() does not.
	set -- "$1" "$2" CFLAGS_head64.o=-fno-builtin-memset CFLAGS_memblock.o=-fno-builtin-memset \
		KBUILD_BUILD_USER=vmm KBUILD_BUILD_HOST=vmm KBUILD_BUILD_VERSION=1 \
		'KBUILD_BUILD_TIMESTAMP=2026-01-01'
	flavour=$1
	result=$2/result
	shift 2
	say "configuring the $flavour kernel"
	kernel_config "$flavour" >"$object/requested"
	make -s -C "$source" O="$object" KCONFIG_ALLCONFIG="$object/requested" allnoconfig \
		>"$object/log" 2>&1 || { cat "$object/log" >&2 && die "kernel configuration failed"; }
	config_check "$object/.config" <"$object/requested"

	nice make -j"$(nproc)" -C "$source" O="$object" "$@" vmlinux bzImage \
		>"$object/log" 2>&1 &
	child=$!
	progress "$object/log" "compiling the $flavour kernel"
	if ! wait "$child"; then
		child=
		grep -iE -A5 'error|\*\*\*' "$object/log" | head -n 40 >&2 || :
		die "compiling the $flavour kernel failed"
	fi
	child=
	say "compiled the $flavour kernel"
	strip -s -o "$result/vmlinux" "$object/vmlinux"
	cp "$object/arch/x86/boot/bzImage" "$object/System.map" "$result/"
	cp "$object/.config" "$result/config"
}
