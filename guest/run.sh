#!/bin/sh
# SPDX-License-Identifier: MIT
# `make run KERNEL=NAME`: boots a kernel on a copy of build/guest/rootfs.ext4. On a terminal it ends in
# a shell of the guest; otherwise it prints the guest's `uname -a` and the time to userspace.
#
#   guest/run.sh [NAME]    nothing for the fast kernel; smp; acpi; or one of Debian's own, with an initrd of its
#                          modules: debian, debian-backports, debian-amd64
set -eu
cd "$(dirname "$0")/.."

kernel=vmlinux${1:+-$1}
set -- --kernel "build/guest/$kernel"
case $kernel in
vmlinux-debian*)
	initrd=initrd-${kernel#vmlinux-}.cpio
	# Debian's kernels are larger.
	set -- "$@" --initrd "build/guest/$initrd" --mem 256M
	;;
esac
# shellcheck disable=SC2086 # no word if it is empty
guest/build.sh "$kernel" rootfs.ext4 ${initrd-}

mkdir -p build/run
work=$(mktemp -d build/run/XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
cp --sparse=always build/guest/rootfs.ext4 "$work/rootfs.ext4"

if [ -t 0 ] && [ -t 1 ]; then
	echo "make run: the guest's shell follows; poweroff or Ctrl-a x ends it" >&2
	lab/lab -- ./vmm "$@" --rootfs "$work/rootfs.ext4" --boot-timer
	exit
fi

status=0
lab/lab -- ./vmm "$@" --rootfs "$work/rootfs.ext4" --boot-timer \
	--cmdline '-- uname -a' 2>"$work/stderr" </dev/null || status=$?
grep -v 'vmm: boot-timer:' "$work/stderr" >&2 || :
microseconds=$(sed -n 's/.*userspace_us=\([0-9]*\).*/\1/p' "$work/stderr")
if [ "$status" -ne 0 ] || [ -z "$microseconds" ]; then
	echo "make run: the guest did not reach userspace (exit status $status)" >&2
	[ "$status" -ne 0 ] || status=1
	exit "$status"
fi
echo "userspace reached after $((microseconds / 1000)) ms"
