#!/bin/bash
# SPDX-License-Identifier: MIT
# A kernel with watchdogs, Debian's, that stands still for 30 seconds reports no lockup afterwards; and what a guest writes
# and reads while it is paused again and again is right.
. "$(dirname "$0")/lib.sh"

ctl() { # REQUEST
	expect_equal "$1" '{"ok":true}' "$("$vmm" ctl "$work/c" "$1")"
}

for option in SOFTLOCKUP_DETECTOR KVM_GUEST; do
	grep -q "^CONFIG_$option=y" "$repo/build/guest/config-debian" || fail "Debian's kernel has no $option"
done
root=$(image_copy root)
guest_script "$root" <<-'END'
	dd if=/dev/urandom of=/random bs=64k count=32 2>/dev/null
	sum=$(sha256sum </random)
	echo READY
	for i in $(seq 10); do
		dd if=/random of=/copy bs=16k conv=fsync 2>/dev/null
		echo 3 >/proc/sys/vm/drop_caches
		[ "$(sha256sum </copy)" = "$sum" ] || failed "copy $i"
	done
	echo COPIED
	report before $(cut -d . -f 1 /proc/uptime)
	# Without a pause of its own: after an idle time the watchdog forgives anything.
	last='' end=2000
	while :; do
		read -r up rest </proc/uptime
		now=${up%.*}
		[ $((now - ${last:-$now})) -lt 20 ] || end=$((now + 8))
		[ $now -lt $end ] || break
		last=$now
	done
	report after $(cut -d . -f 1 /proc/uptime)
	dmesg | grep -iE 'lockup|stall|hung|clocksource.*unstable' >/out/complaints
END
# shellcheck disable=SC2034
vm_time_limit=600
vm_start vm --kernel "$(guest_file vmlinux-debian)" --initrd "$(guest_file initrd-debian.cpio)" --mem 256M \
	--rootfs "$root" --control "$work/c" --cmdline "$run_script"
wait_for_text "$work/vm.out" READY 300
pauses=0
until grep -qa COPIED "$work/vm.out"; do
	ctl pause
	ctl resume
	pauses=$((pauses + 1))
done
sleep 3
ctl pause
sleep 30
ctl resume
vm_wait
expect_status 0
read_report "$root"
expect_equal "complaints" "" "$(image_get "$root" /out/complaints)"
expect_range "seconds that the guest has seen" $(($(report_value after) - $(report_value before))) 30 300
expect_range "pauses under load" $pauses 5 1000000
passed "$pauses pauses under load, one of 30 s"
