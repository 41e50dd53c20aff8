# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For io.sh: Linux guests under vmm and under QEMU microvm, which read and write their root disk and say how long it
# took. Where this machine's KVM cannot run Linux, in the lab's machine that counts instructions.
linux_kernel=build/guest/vmlinux linux_rootfs=build/guest/rootfs.ext4 linux_conditions=

# The guest's init. Not words behind "--": QEMU puts those of its devices there, too.
linux_init() {
	cat <<'END_INIT'
#!/bin/sh
time dd if=/dev/vda of=/dev/null bs=64k count=800
time dd if=/dev/zero of=/file bs=64k count=320 conv=fsync
exec /sbin/boot-mark
END_INIT
}

# Fresh file system with that init, in $tmp/image.
linux_image() {
	cp --sparse=always "$linux_rootfs" "$tmp/image"
	linux_init >"$tmp/init"
	debugfs -w -f - "$tmp/image" >/dev/null 2>&1 <<END_COMMANDS || die "debugfs failed (package e2fsprogs)"
write $tmp/init io-bench
set_inode_field io-bench mode 0100755
END_COMMANDS
}

# One guest of WHO: two samples, MiB a second of the guest's clock.
linux_guest() { # WHO
	local out=$tmp/linux.out words="console=ttyS0 panic=-1 quiet reboot=t root=/dev/vda rw tsc=reliable init=/io-bench"
	linux_image
	case $1 in
	vmm) "$linux_vmm" --kernel "$linux_kernel" --rootfs "$tmp/image" --cmdline init=/io-bench ;;
	qemu)
		qemu-system-x86_64 -M microvm,acpi=off,pit=off,pic=off,rtc=off -enable-kvm -cpu host -m 128M -smp 1 -nodefaults \
			-no-user-config -display none -no-reboot -serial stdio -kernel "$linux_kernel" -append "$words" \
			-drive "id=root,file=$tmp/image,format=raw,if=none" -device virtio-blk-device,drive=root ;;
	esac </dev/null >"$out" 2>&1 || { cat "$out" >&2; die "$1: the Linux guest failed"; }
	# busybox: "real	0m 0.04s", one for each dd.
	mapfile -t real < <(sed -n 's/^real[[:space:]]*\([0-9]*\)m \([0-9.]*\)s.*/\1 \2/p' "$out" | awk '{ print $1 * 60 + $2 }')
	[ ${#real[@]} = 2 ] || { cat "$out" >&2; die "$1: the Linux guest did not say how long it took"; }
	[ "$round" = 0 ] || {
		sample "$1" 'Linux read 64k' MiB/s "$(awk -v s="${real[0]}" 'BEGIN { print 50 / (s > 0 ? s : 0.005) }')"
		sample "$1" 'Linux write 64k' MiB/s "$(awk -v s="${real[1]}" 'BEGIN { print 20 / (s > 0 ? s : 0.005) }')"
	}
}

measure_linux() {
	local who
	for ((round = 0; round <= runs; round++)); do
		for who in vmm qemu; do linux_guest $who; done
	done
}

# Adds the lines, or says why not.
run_linux() {
	local what
	if ! command -v qemu-system-x86_64 >/dev/null || [ ! -r $linux_kernel ] || [ ! -r $linux_rootfs ]; then
		say "no qemu-system-x86_64 on PATH, or no Linux guest (make guest): the Linux guests are left out"
		return
	fi
	if lab/lab --check | grep -q '^direct'; then
		measure_linux
	else
		linux_conditions="; Linux guests in the counted lab, where a second is a thousand million instructions"
		lab/lab --quiet --counted --time-limit 300 --tmpfs-copy ./vmm --tmpfs-copy $linux_kernel --tmpfs-copy $linux_rootfs \
			-- "$0" --inside --runs "$runs" >>"$samples" || die "the lab failed"
	fi
	for what in 'Linux read 64k' 'Linux write 64k'; do line "$what" qemu; done
}

linux_vmm=./vmm
if [ "$inside" = 1 ]; then
	linux_vmm=/run/lab/vmm linux_kernel=/run/lab/vmlinux linux_rootfs=/run/lab/rootfs.ext4
	round=0
fi
