#!/bin/bash
# SPDX-License-Identifier: MIT
# The project's init and snapshots: before its command, and on a signal. Each clone has random numbers of its own, the host's time within
# 10 ms, its disk, and a vsock whose listener serves on and whose connections are over. With several CPUs, too.
. "$(dirname "$0")/lib.sh"

root=$(image_copy root)
image_put "$root" "$repo/build/tests/linux/snapshot_clock" /snapshot_clock
# The emulated machine's own /tmp knows no unnamed files.
folder=$([ -n "${VMM_IN_LAB:-}" ] && mktemp -d -p /run || mktemp -d -p "$work")
at_exit rm -rf "$folder"
uds=$folder/v
"$repo/build/tests/linux/snapshot_clock" serve "${uds}_700" &
child_pids+=("$!")

value() { # NAME FILE
	sed -n "s/^CLONE $1 \([0-9a-z]*\).*/\1/p" "$2" | tr -d '\r'
}

report='echo "CLONE random $(od -An -N8 -tx8 /dev/urandom | tr -d " ")"
/snapshot_clock real'

check_clones() {
	local i
	for i in 1 2; do
		vm_run clone$i --restore "$folder/snap" --rootfs "$root,ro" --vsock "cid=3,uds=$uds"
		expect_status 0
		expect_range "us from the host's time" "$(value real_error_us "$work/clone$i.out")" 0 10000
	done
	[ "$(value random "$work/clone1.out")" != "$(value random "$work/clone2.out")" ] || fail "both clones draw $(value random "$work/clone1.out")"
	[ -n "$(value random "$work/clone1.out")" ] || fail "no random numbers"
}

# Before the command: that runs in the clones only.
guest_script "$root" <<-END
	$report
	reboot -f
END
kernel=$(guest_file vmlinux)
vm_run boot --kernel "$kernel" --rootfs "$root,ro" --cmdline "snapshot=1 $run_script" --snapshot "$folder/snap" \
	--vsock "cid=3,uds=$uds"
expect_status 0
[ -z "$(value random "$work/boot.out")" ] || fail "the command runs before the snapshot"
sleep 2
check_clones
rm "$folder/snap"

# A warm service.
socat "UNIX-LISTEN:${uds}_600,fork" SYSTEM:'cat' &
child_pids+=("$!")
guest_script "$root" <<-END
	vsock listen 500 cat &
	sleep 1000 | vsock connect 600 &
	sleep 1
	kill -40 1
	sleep 1
	echo "CLONE text \$(cat /run/clone)"
	$report
	sleep 4
	reboot -f
END
vm_run boot --kernel "$kernel" --rootfs "$root,ro" --cmdline "$run_script" --snapshot "$folder/snap" --vsock "cid=3,uds=$uds"
expect_status 0
mkfifo "$work/order"
exec 8<>"$work/order"
vm_start clone --restore "$folder/snap" --rootfs "$root,ro" --vsock "cid=3,uds=$uds" --start-fd 8 </dev/null
echo "go cid=4 text=web-17 10.0.0.17/24" >&8
wait_for_text "$work/clone.out" "CLONE real_error_us"
answer=$({ printf 'CONNECT 500\nhello\n'; sleep 2; } | socat -t 5 - "UNIX-CONNECT:$uds" | tail -n 1)
expect_equal "the echo of the listener" hello "$answer"
vm_wait
expect_status 0
expect_text "$work/clone.out" "Connection reset by peer"
expect_text "$work/clone.out" "CLONE text web-17 10.0.0.17/24"
rm "$folder/snap"

# With several CPUs: programs that run on the others draw no number before their clone has numbers of its own. The first
# CPU is the first to run in a clone: init asks on the second.
guest_script "$root" <<-END
	for i in 1 4 8; do taskset \$i /snapshot_clock draw & done
	taskset -p 2 1
	sleep 1
	# The kernel seeds itself by this: it would by the first draw of a clone, too, if it had not for a second.
	head -c 8 /dev/urandom >/dev/null
	kill -40 1
	wait
	reboot -f
END
vm_run boot --kernel "$(guest_file vmlinux-smp)" --cpus 4 --rootfs "$root,ro" --cmdline "$run_script" --snapshot "$folder/snap"
expect_status 0
for i in 1 2 3 4; do
	vm_run clone$i --restore "$folder/snap" --rootfs "$root,ro"
	expect_status 0
	sed -n 's/^CLONE drawn \([0-9a-f]*\).*/\1/p' "$work/clone$i.out"
done >"$work/drawn"
expect_equal "numbers that were drawn" 12 "$(wc -l <"$work/drawn")"
expect_equal "different ones" 12 "$(sort -u "$work/drawn" | wc -l)"
rm "$folder/snap"

# Whoever asks, a kernel with ACPI seeds its random numbers anew.
guest_script "$root" <<-END
	echo CLONE waits
	sleep 4
	echo "CLONE forks \$(dmesg | grep -c 'virtual machine fork')"
	reboot -f
END
vm_start boot --kernel "$(guest_file vmlinux-acpi)" --rootfs "$root,ro" --cmdline "$run_script" --snapshot "$folder/snap" \
	--control "$folder/control" </dev/null
wait_for_text "$work/boot.out" "CLONE waits"
expect_equal "the answer" '{"ok":true}' "$("$vmm" ctl "$folder/control" snapshot)"
vm_wait
expect_status 0
vm_run clone --restore "$folder/snap" --rootfs "$root,ro"
expect_status 0
expect_equal "notifications of the generation id" 1 "$(value forks "$work/clone.out")"
