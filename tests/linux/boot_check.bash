# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Sourced by the boot tests after lib.sh: one boot of one kernel, and all that must be true of it.

# Lines that the kernel prints when something is wrong with the machine it finds itself on.
complaints='WARNING|\bBUG\b|Call Trace|lockup|XSAVE (consistency|size)|xstate.*mismatch|calibration|Calibrating APIC|[Uu]nable to|unstable|not functional|rcu.*stall|timed out|I/O error|EXT4-fs error|spurious|nobody cared|disabled by hardware|Broken'

# Prints what `uname -a` must be: a bzImage names its version in its header, a vmlinux in its banner,
# both as "RELEASE (USER@HOST) ... #VERSION".
expected_uname() { # KERNEL
	local file text offset
	file=$(guest_file "$1")
	case $1 in
	bzImage*)
		offset=$(od -An -t u2 -j $((0x20e)) -N 2 "$file")
		text=$(tail -c +$((offset + 0x201)) "$file" | head -c 200 | tr '\0' '\n' | sed -n 1p || :)
		;;
	*)
		text=$(grep -aom 1 'Linux version [0-9].* #[0-9].*' "$file" | tr '\0' '\n' | sed -n 1p || :)
		text=${text#Linux version }
		;;
	esac
	echo "Linux guest ${text%% *} #${text##* #} x86_64 GNU/Linux"
}

check_log() {
	image_get "$root" /out/dmesg >"$work/dmesg"
	if grep -aE "$complaints" "$work/dmesg" >"$work/complaints"; then
		fail "$label: the kernel complains: $(head -n 3 "$work/complaints")"
	fi
	expect_text "$work/dmesg" "Hypervisor detected: KVM"
	! grep -a 'Calibrating delay loop' "$work/dmesg" | grep -qv skipped ||
		fail "$label: the kernel measures its delay loop"
	case $(report_value clocksource) in
	kvm-clock | tsc) ;;
	*) fail "$label: clock source '$(report_value clocksource)'" ;;
	esac
	expect_equal "$label: CPUs with a TSC-deadline timer" "$2" "$(report_value deadline_timers)"
}

# All marks are there, and each is after those that it needs.
check_boot_timer() { # FILE
	local previous=-1 mark value marks
	marks=$(grep -a '^vmm: boot-timer: ' "$1") || fail "$label: no --boot-timer line"
	expect_equal "$label: lines on stderr" 1 "$(wc -l <"$1")"
	expect_equal "$label: marks" "process_start_us vm_created_us kernel_loaded_us first_kvm_run_us userspace_us" \
		"$(tr ' ' '\n' <<<"$marks" | sed -n 's/=.*//p' | xargs)"
	# The VM and the kernel come in either order, by whichever thread is free.
	for mark in process_start_us '(vm_created|kernel_loaded)_us' first_kvm_run_us userspace_us; do
		for value in $(tr ' ' '\n' <<<"$marks" | grep -E "^$mark=" | sed 's/.*=//' | sort -n); do
			[ "$value" -ge "$previous" ] || fail "$label: the marks do not ascend: $marks"
			previous=$value
		done
	done
	[ "$previous" -le $((elapsed_ms * 1000)) ] || fail "$label: userspace after the end: $marks"
}

boot_and_check() { # KERNEL CPUS MIB
	local mib
	label="$1, $2 vCPUs, $3 MiB"
	root=$(image_copy root)
	guest_script "$root" <<-'END'
		uname -a | tee /out/uname
		dmesg >/out/dmesg
		report cpus $(grep -c '^processor' /proc/cpuinfo)
		report online $(cat /sys/devices/system/cpu/online 2>/dev/null || echo 0)
		report mem_kib $(awk '/^MemTotal/ { print $2 }' /proc/meminfo)
		report clocksource $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
		report deadline_timers $(grep -c 'Clock Event Device: lapic-deadline' /proc/timer_list)
	END
	vm_run boot --kernel "$(guest_file "$1")" --cpus "$2" --mem "$3M" --rootfs "$root" \
		--boot-timer --cmdline "$run_script"
	expect_status 0 "$label"
	expect_clean "$root"
	read_report "$root"
	expect_equal "$label: uname -a" "$(expected_uname "$1")" "$(image_get "$root" /out/uname)"
	expect_equal "$label: uname -a on the console" "$(expected_uname "$1")" \
		"$(head -n 1 "$work/boot.out" | tr -d '\r')"
	expect_equal "$label: vCPUs" "$2" "$(report_value cpus)"
	expect_equal "$label: online" "$([ "$2" -eq 1 ] && echo 0 || echo "0-$(($2 - 1))")" \
		"$(report_value online)"
	mib=$(($(report_value mem_kib) / 1024))
	expect_range "$label: MemTotal in MiB" $mib $(($3 - 20 - $3 / 40)) "$3"
	check_boot_timer "$work/boot.err"
	check_log "$1" "$2"
	echo "$label: $mib MiB seen, ends after $elapsed_ms ms"
}
