# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Sourced by the tests of kernels, after tests/linux/lib.sh: one boot of one kernel in one form with ACPI or without, and
# what of it must work: the initrd, the root file system, a network interface, a vsock. What a kernel
# cannot do is told by its configuration, and named.
#
#   cells_open                       a TAP, and the table's head
#   cell KERNEL IMAGE ACPI CPUS      one row of the table; false if the kernel did not boot as it should
#
# KERNEL is fast (with SMP for more than one CPU), acpi, debian, debian-backports or debian-amd64; or any NAME that has its
# vmlinux-NAME, bzImage-NAME and config-NAME in build/guest, and its initrd-NAME.cpio if it has its drivers as modules.

tap=vmkernel0
cell_tries=${CELL_TRIES:-1}

cells_open() {
	ip tuntap add $tap mode tap
	at_exit ip link del $tap
	ip addr add 10.98.0.1/24 dev $tap
	ip link set $tap up
	printf '%-17s %-8s %-4s %-4s  %-7s %-7s %-7s %-7s  %s\n' kernel image ACPI CPUs initrd root net vsock ms
}

# The file below build/guest, or nothing.
kernel_name() { # KERNEL IMAGE CPUS
	case $1-$3 in
	fast-1) echo "$2" ;;
	fast-*) echo "$2-smp" ;;
	*) echo "$2-$1" ;;
	esac
}

has_option() { # KERNEL OPTION
	grep -qE "^CONFIG_$2=[ym]" "$repo/build/guest/config-$1"
}

has_initrd() { # KERNEL
	[ -e "$repo/build/guest/initrd-$1.cpio" ]
}

# Why these cannot work, in $why_boot and $why_devices; empty if they can.
find_reasons() { # KERNEL ACPI CPUS
	why_boot='' why_devices=''
	case $1 in
	fast) return ;;
	acpi)
		[ "$3" = 1 ] || why_boot='built without SMP'
		return
		;;
	esac
	[ "$2" = off ] || ! has_option "$1" ACPI || return 0
	has_option "$1" VIRTIO_MMIO_CMDLINE_DEVICES ||
		why_devices='no VIRTIO_MMIO_CMDLINE_DEVICES: without ACPI it finds no device'
	has_option "$1" X86_MPPARSE ||
		why_boot='no X86_MPPARSE: without ACPI it finds no IOAPIC, and its terminal no interrupt'
}

# The guest's side; $expected has what the report must be.
cell_script() {
	guest_script "$root" <<-'END'
		report online $(nproc)
		ip addr add 10.98.0.2/24 dev eth0; ip link set eth0 up
		report tcp $(echo answer | nc 10.98.0.1 8000)
		report vsock $(echo answer | vsock connect 6000)
		report banks $(ls /sys/devices/system/machinecheck/machinecheck0 2>/dev/null | grep -c '^bank')
		dmesg | grep -E 'ACPI( BIOS)? (Error|Exception|Warning)' | head -n 1 >/out/acpi
	END
}

boot_initrd() { # KERNEL-FILE ACPI CPUS
	vm_run initrd --kernel "$(guest_file "$1")" --acpi "$2" --cpus "$3" --mem 256M --initrd "$(guest_file initrd.cpio)" \
		--cmdline '-- sh -c "echo CPUS $(nproc)"'
	expect_status 0 initrd
	expect_text "$work/initrd.out" "CPUS $3"
}

boot_devices() { # KERNEL KERNEL-FILE ACPI CPUS
	local initrd=()
	rm -f "$work"/*.ext4
	root=$(image_copy root)
	cell_script
	! has_initrd "$1" || initrd=(--initrd "$(guest_file "initrd-$1.cpio")")
	greet TCP-LISTEN:8000,reuseaddr "$work/tcp"
	greet UNIX-LISTEN:"$work/v.sock_6000" "$work/vsock"
	vm_run devices --kernel "$(guest_file "$2")" --acpi "$3" --cpus "$4" --mem 256M --rootfs "$root" "${initrd[@]}" \
		--net tap=$tap --vsock "cid=3,uds=$work/v.sock" --cmdline "$run_script"
	expect_status 0 devices
	expect_empty "$work/devices.err"
	expect_clean "$root"
	read_report "$root"
	expect_equal CPUs "$4" "$(report_value online)"
	expect_equal TCP greeting "$(report_value tcp)"
	expect_equal "TCP, the guest's" answer "$(cat "$work/tcp")"
	expect_equal vsock greeting "$(report_value vsock)"
	expect_equal "vsock, the guest's" answer "$(cat "$work/vsock")"
	expect_range "banks of machine checks" "$(report_value banks)" 0 1 # none without X86_MCE
	[ "$3" = off ] || expect_equal "ACPI's errors" '' "$(image_get "$root" /out/acpi)"
}

# In a shell of its own, because whatever fails ends that.
cell_try() { # KERNEL IMAGE ACPI CPUS
	(

		child_pids=()
		# shellcheck disable=SC2154 # its own
		trap 'code=$?; kill -KILL "${child_pids[@]}" 2>/dev/null || :; exit $code' EXIT
		rm -f "$work"/v.sock* "$work"/*.out "$work"/*.err
		file=$(kernel_name "$1" "$2" "$4")
		took=-
		# A kernel with modules has had an initrd when it has its root.
		if [ -n "$why_devices" ] || ! has_initrd "$1"; then
			boot_initrd "$file" "$3" "$4"
			took=$elapsed_ms
		fi
		if [ -z "$why_devices" ]; then
			boot_devices "$1" "$file" "$3" "$4"
			took=$elapsed_ms
		fi
		echo "$took" >"$work/took"
	)
}

cell() { # KERNEL IMAGE ACPI CPUS
	local try row
	row=$(printf '%-17s %-8s %-4s %-4s ' "$@")
	find_reasons "$1" "$3" "$4"
	if [ -n "$why_boot" ]; then
		echo "$row impossible: $why_boot"
		return 0
	fi
	for ((try = 1; try <= cell_tries; try++)); do
		cell_try "$@" >"$work/cell.log" 2>&1 && break
	done
	if [ $try -gt "$cell_tries" ]; then
		echo "$row FAILED: $(grep -a 'FAIL: ' "$work/cell.log" | tail -n 1)"
		show_logs
		return 1
	fi
	if [ -n "$why_devices" ]; then
		printf '%s %-7s %s\n' "$row" yes "impossible: $why_devices; $(cat "$work/took") ms"
	else
		printf '%s %-7s %-7s %-7s %-7s  %s%s\n' "$row" yes yes yes yes "$(cat "$work/took")" \
			"$([ $try = 1 ] || echo " (try $try)")"
	fi
}
