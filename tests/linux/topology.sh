#!/bin/bash
# SPDX-License-Identifier: MIT
# One package of cores without SMT, and the right APIC ids, as Linux reads them from CPUID and finds them in the MP
# table: 1 to 16 vCPUs. A processor goes offline and comes back.
. "$(dirname "$0")/lib.sh"

kernel=$(guest_file vmlinux-smp)

check() { # CPUS
	local n=$1 ids
	root=$(image_copy root)
	guest_script "$root" <<-'END'
		cpus=/sys/devices/system/cpu
		report nproc $(nproc)
		report packages $(cat $cpus/cpu*/topology/physical_package_id | sort -u | xargs)
		report cores $(cat $cpus/cpu*/topology/core_id | sort -n | xargs)
		report threads $(cat $cpus/cpu*/topology/thread_siblings_list | sort -n | xargs)
		report apic_ids $(sed -n 's/^initial apicid.*: //p' /proc/cpuinfo | xargs)
		report smt $(cat $cpus/smt/active)
		if [ -e $cpus/cpu1/online ]; then
			echo 0 >$cpus/cpu1/online
			report without $(nproc)
			echo 1 >$cpus/cpu1/online
			report again $(nproc)
			taskset 2 true || failed taskset
		fi
		dmesg | grep -iE 'topology|sibling|smpboot.*(error|bad|not)' >/out/complaints
		true
	END
	vm_run topology --kernel "$kernel" --cpus "$n" --rootfs "$root" --cmdline "$run_script"
	expect_status 0 "$n vCPUs"
	expect_empty "$work/topology.err"
	read_report "$root"
	ids=$(seq 0 $((n - 1)) | xargs)
	expect_equal "$n vCPUs: nproc" "$n" "$(report_value nproc)"
	expect_equal "$n vCPUs: packages" 0 "$(report_value packages)"
	expect_equal "$n vCPUs: core ids" "$ids" "$(report_value cores)"
	expect_equal "$n vCPUs: each core's threads" "$ids" "$(report_value threads)"
	expect_equal "$n vCPUs: APIC ids" "$ids" "$(report_value apic_ids)"
	expect_equal "$n vCPUs: SMT" 0 "$(report_value smt)"
	[ "$n" -eq 1 ] || expect_equal "$n vCPUs: one less, and all again" "$((n - 1)) $n" \
		"$(report_value without) $(report_value again)"
	image_get "$root" /out/complaints >"$work/complaints.txt"
	expect_empty "$work/complaints.txt"
}

for n in 1 2 4 16; do check $n; done
passed "1 2 4 16 vCPUs"
