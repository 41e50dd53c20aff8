# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Sourced after tests/linux/lib.sh: one package of cores without SMT, and the right APIC ids, as Linux reads them from CPUID
# and finds them in the MP table or the MADT. A processor goes offline and comes back.
#
# More than 64 are brought up by the guest's script. Until the kernel has chosen its clock each one has a tick, idle or not, and so
# many are more than an emulated machine can do beside the next one's start.

check_topology() { # KERNEL CPUS: KERNEL is fast, or has its vmlinux-KERNEL and initrd-KERNEL.cpio in build/guest
	local n=$2 file=vmlinux-smp initrd=() ids words=
	[ "$n" -le 64 ] || words='maxcpus=1 '
	if [ "$1" != fast ]; then
		file=vmlinux-$1
		initrd=(--initrd "$(guest_file "initrd-$1.cpio")")
	fi
	root=$(image_copy root)
	guest_script "$root" <<-'END'
		cpus=/sys/devices/system/cpu
		for online in $(grep -slx 0 $cpus/cpu*/online); do echo 1 >$online; done
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
	vm_run topology --kernel "$(guest_file "$file")" --cpus "$n" --mem "$((256 + 2 * n))M" --rootfs "$root" "${initrd[@]}" --cmdline "$words$run_script"
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
