# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154
# For restore.sh: clones of a Linux guest, whose init is clone_mark.c. Where this machine's KVM cannot run Linux, in the lab's machine that
# counts instructions, as three kinds of host: Debian's as it is; with favordynmods on its cgroups; and its backported kernel with KVM's
# nx_huge_pages=never. There KVM_CREATE_VM does not wait for RCU.
. bench/lab_root.bash
linux_hosts=(default favordynmods nx_huge_pages=never)
linux_kernel=build/guest/vmlinux linux_rootfs=build/guest/rootfs.ext4
tracing=/sys/kernel/tracing

linux_name() { # HOST
	[ "$1" = default ] && echo 'Linux' || echo "Linux, $1"
}

# The image with that init.
linux_image() { # FILE
	cp --sparse=always $linux_rootfs "$1"
	debugfs -w -f - "$1" >/dev/null 2>&1 <<-'END_COMMANDS' || die "debugfs failed (package e2fsprogs)"
		write build/bench/clone_mark clone-mark
		set_inode_field clone-mark mode 0100755
	END_COMMANDS
}

linux_host() { # HOST: this machine becomes one
	case $1 in
	favordynmods) mount -o remount,favordynmods /sys/fs/cgroup || die "the cgroups do not take favordynmods" ;;
	nx_huge_pages=never) echo never >/sys/module/kvm/parameters/nx_huge_pages || die "KVM does not take nx_huge_pages=never" ;;
	esac
}

linux_options() { # NUMBER: of a VM's devices
	options=(--rootfs "$at/image,ro" --net "tap=linux$1" --vsock "cid=3,uds=$at/linux$1.sock")
}

# Nanoseconds to counts, or to milliseconds.
to_unit() {
	awk -v ns="$1" 'BEGIN { printf "%.4f\n", ns / 1e6 }'
}

# The kernel's own word for a vCPU's first entry, with the clock that the launcher reads. False: there is none to be had.
trace_begin() {
	[ -e $tracing/events ] || mount -t tracefs tracefs $tracing 2>/dev/null || return 1
	{ echo mono >$tracing/trace_clock && echo 1 >$tracing/events/kvm/kvm_entry/enable && echo >$tracing/trace; } 2>/dev/null
}

# first_instruction WHAT SINCE: samples it, from SINCE nanoseconds after the fork.
first_instruction() { # WHAT SINCE
	local at_us
	at_us=$(sed -n '/kvm_entry:/ { s/.* \([0-9]*\)\.\([0-9]*\): kvm_entry:.*/\1\2/p; q }' $tracing/trace)
	echo 0 >$tracing/events/kvm/kvm_entry/enable
	[ -n "$at_us" ] || die "the trace has no entry of a vCPU"
	sample "$name" "$1" "$unit" "$(to_unit $((at_us * 1000 - seen_start - $2)))"
}

linux_snapshot() {
	local i
	for ((i = 0; i <= 3; i++)); do
		rm -f "$sees/snap"
		linux_options 0
		launch "$name: snapshot" --status -- "$vmm" --kernel "$kernel" "${options[@]}" --cmdline init=/clone-mark --snapshot "$at/snap" \
			--status-fd 3
		[ -e "$sees/snap" ] || die "$name: there is no snapshot"
		[ $i = 0 ] || sample "$name" 'snapshot' "$unit" "$(to_unit $((seen_result - seen_first_byte)))"
	done
	sample "$name" 'size of the file' KiB "$(du -k "$sees/snap" | cut -f 1)"
}

# linux_clone ROUND OPTION... -- OPTION...: one, with the launcher's options and vmm's own; the rounds begin at different places in the
# host's tick.
linux_clone() {
	local round=$1 own=()
	shift
	while [ "$1" != -- ]; do own+=("$1") && shift; done
	linux_options "$round"
	launch "$name" --delay-us $((100000 + round * 900 % 4000)) "${own[@]}" -- "$vmm" --restore "$at/snap" "${options[@]}" "${@:2}"
}

linux_clones() {
	local i n=$linux_runs
	for ((i = 0; i <= n; i++)); do
		linux_clone "$i" --
		[ "$i" = 0 ] || sample "$name" 'fork to first byte' "$unit" "$(to_unit "$seen_first_byte")"
	done
	for ((i = 1; i <= n; i++)); do
		linux_clone $((n + i)) --order --order-after 300 -- --start-fd 4
		sample "$name" 'order to first byte' "$unit" "$(to_unit $((seen_first_byte - seen_order)))"
	done
	for ((i = 1; i <= n; i++)); do
		trace_begin || return 0
		linux_clone $((2 * n + i)) --
		first_instruction 'fork to first instruction' 0
		trace_begin
		linux_clone $((3 * n + i)) --order --order-after 300 -- --start-fd 4
		first_instruction 'order to first instruction' "$seen_order"
	done
}

bare_byte='bare-metal guest, fork to first byte'
# The bare-metal guest's clones beside the floor's, as natively, but that nothing else runs here: to the first byte.
bare_clones() {
	local i who command
	linux_options 0
	launch "$name" -- "$vmm" --kernel "$bare" "${options[@]}" --snapshot "$at/bare-snap"
	for ((i = 0; i <= linux_runs; i++)); do
		linux_options $((4 * linux_runs + 1 + i))
		for who in '' ', floor' ', floor-devices'; do
			case $who in
			'') command=("$vmm" --restore "$at/bare-snap" "${options[@]}") ;;
			', floor') command=("$floor" --restore "$at/bare-snap") ;;
			*) command=("$floor" --restore "$at/bare-snap" "linuxfl$i" "$at/floor.img" "$at/floor$i.sock") ;;
			esac
			launch "$name$who" --delay-us $((100000 + i * 900 % 4000)) -- "${command[@]}"
			[ $i = 0 ] || sample "$name$who" "$bare_byte" "$unit" "$(to_unit "$seen_first_byte")"
		done
	done
}

linux_firecracker() {
	local i us command
	[ -n "$firecracker" ] || return 0
	fc_config "$kernel" "$linux_words init=/clone-mark bytes=4000" "$at/image" linuxfc0 snapshot >"$tmp/config"
	for ((i = 0; i <= 3; i++)); do
		us=$(fc_snapshot "$tmp/config")
		[ $i = 0 ] || sample "$name, firecracker" 'snapshot' "$unit" "$(to_unit "${us}e3")"
	done
	sample "$name, firecracker" 'size of the file' KiB "$(du -kc "$sees/fc-state" "$sees/fc-memory" | tail -n 1 | cut -f 1)"
	for ((i = 0; i <= linux_runs; i++)); do
		fc_load "linuxfc$i" "linux$i" >"$sees/load"
		fc_command "linux$i"
		launch "$name, firecracker" --kill --delay-us $((100000 + i * 900 % 4000)) --order-api "$at/fc-apilinux$i" "$at/load" -- "${command[@]}"
		[ "$i" = 0 ] || sample "$name, firecracker" 'fork to first byte' "$unit" "$(to_unit "$seen_first_byte")"
		fc_command "wait$i"
		fc_load "linuxfc$((linux_runs + 1 + i))" "wait$i" >"$sees/load"
		launch "$name, firecracker" --kill --order-after 300 --order-api "$at/fc-apiwait$i" "$at/load" -- "${command[@]}"
		[ "$i" = 0 ] || sample "$name, firecracker" 'order to first byte' "$unit" "$(to_unit $((seen_first_byte - seen_order)))"
	done
}
linux_words='panic=-1 reboot=k,f quiet console=ttyS0 tsc=reliable i8042.noaux i8042.dumbkbd swiotlb=noforce pci=off no_timer_check'

# measure_linux HOST: on this machine, which becomes that host.
measure_linux() {
	local name at=$tmp sees=$tmp vmm=./vmm floor=build/bench/floor kernel=$linux_kernel bare=$guest unit=ms launcher=(build/bench/launcher)
	name=$(linux_name "$1")
	firecracker=$(command -v firecracker || :)
	if [ -n "$inside" ]; then
		unit=count at='' sees=/run/lab vmm=/vmm floor=/floor kernel=/vmlinux bare=/clone.elf
		make_root
		launcher=(chroot /run/lab /launcher)
		[ ! -x /run/lab/usr/bin/firecracker ] || firecracker=/usr/bin/firecracker
		fc_at='' fc_sees=/run/lab fc_runs=(chroot /run/lab)
	else
		linux_image "$tmp/image"
	fi
	linux_host "$1"
	truncate -s 8M "$sees/floor.img"
	make_taps 0 $((5 * linux_runs + 1)) linux
	make_taps 0 $linux_runs linuxfl
	make_taps 0 $((2 * linux_runs + 1)) linuxfc
	linux_snapshot
	linux_clones
	bare_clones
	[ "$1" != default ] || linux_firecracker
}

linux_in_lab() {
	local host file program copies kernel_option
	linux_image "$tmp/image"
	copies=()
	for file in ./vmm build/bench/launcher build/bench/floor "$guest" "$linux_kernel" "$tmp/image"; do copies+=(--tmpfs-copy "$file"); done
	if program=$(command -v firecracker); then
		for file in "$program" $(peer_files "$program"); do copies+=(--tmpfs-copy "$file"); done
	fi
	for host in "${linux_hosts[@]}"; do
		kernel_option=()
		[ "$host" != nx_huge_pages=never ] || kernel_option=(--host-kernel 6.12)
		linux_once "$host" lab/lab --quiet --counted --time-limit 400 "${kernel_option[@]}" "${copies[@]}" -- "$0" --inside "$host" \
			--linux-runs "$linux_runs"
	done
}

# linux_once HOST COMMAND...: its samples. Should the emulated machine be lost, then once more, four times at most.
linux_once() {
	local tries=1
	until "${@:2}" >"$tmp/lab" 2>"$tmp/lab.err"; do
		[ $((tries++)) -lt 5 ] || { cat "$tmp/lab.err" >&2; die "the lab failed"; }
		say "Linux, $1: the lab failed, once more"
	done
	cat "$tmp/lab" >>"$samples"
}

# linux_lines NAME: what is known of these clones.
linux_lines() {
	local what value theirs line=
	for what in 'fork to first byte' 'fork to first instruction' 'order to first instruction' 'order to first byte' snapshot; do
		value=$(p50 "$1" "$what" 2>/dev/null) || continue
		line+="$what $value, "
		! theirs=$(p50 "$1, firecracker" "$what" 2>/dev/null) || line+="firecracker $theirs, "
	done
	lines+=("restore: $1: ${line}file $(p50 "$1" 'size of the file') KiB")
	value=$(p50 "$1" "$bare_byte")
	for what in floor-devices floor; do
		theirs=$(p50 "$1, $what" "$bare_byte")
		lines+=("restore: $1: bare-metal guest: vmm $value, $what $theirs, ratio $(ratio "$value" "$theirs")")
	done
}

# Adds the samples and lines, or says why not.
run_linux() {
	local host name
	if [ ! -r $linux_kernel ] || [ ! -r $linux_rootfs ]; then
		say "no Linux guest (make guest): its clones are left out"
		return
	fi
	if lab/lab --check | grep -q '^direct'; then
		measure_linux default
	else
		conditions="; Linux guests in the counted lab: one count is a million instructions of the emulated machine"
		linux_in_lab
	fi
	for host in "${linux_hosts[@]}"; do
		name=$(linux_name "$host")
		! grep -q "^$name	" "$samples" || linux_lines "$name"
	done
}
