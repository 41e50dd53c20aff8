#!/bin/bash
# SPDX-License-Identifier: MIT
# Snapshots (bench/README.md): how long one takes and how large it is, from a launcher's fork to a clone's first byte, beside the least
# program that restores the same VM (floor.c) and beside Firecracker; from the order to the first byte of a monitor that waits; and what 1 to
# 1,000 clones of one file cost. On this machine's /dev/kvm, bare-metal guests; Linux guests where KVM runs them, else in the counted
# lab. All with a disk, a NIC and a vsock, 128 MiB, 26 of them in use.
. "$(dirname "$0")/lib.bash"
# shellcheck source=bench/namespace.bash
. bench/namespace.bash
. bench/firecracker.bash

usage() {
	cat <<'END_USAGE'
usage: restore.sh [options]
  --runs N             rounds; each starts every program once (default 100)
  --vms "N..."         numbers of clones, rising (default "1 10 100 1000")
  --peers DIR          a folder put before PATH, where Firecracker is looked for
  --peer-vms N         at most so many clones of a Firecracker (default 100)
  --linux-runs N       clones of a Linux guest for each figure (default 10)
  --no-linux           without the Linux guests
  --json               the results as one JSON object
END_USAGE
}

arguments=("$@") counts=(1 10 100 1000) runs=100 linux_runs=10 peer_vms=100 linux=1 inside=
while [ $# -gt 0 ]; do
	case $1 in
	--runs | --vms | --peers | --peer-vms | --linux-runs | --inside)
		need_value "$1" $#
		case $1 in
		--runs) need_count "$1" "$2" && runs=$2 ;;
		--vms) need_counts "$1" "$2" ;;
		--peers) [ -d "$2" ] || bad_usage "--peers: there is no folder '$2'"; PATH=$(realpath -- "$2"):$PATH ;;
		--peer-vms) need_count "$1" "$2" && peer_vms=$2 ;;
		--linux-runs) need_count "$1" "$2" && linux_runs=$2 ;;
		--inside) inside=$2 ;; # the lab's machine already, which is such a host
		esac
		shift ;;
	--no-linux) linux=0 ;;
	--json) json=1 ;;
	--help) usage && exit 0 ;;
	*) bad_usage "unknown option $1 (see --help)" ;;
	esac
	shift
done
guest=build/bench/clone.elf idle=build/tests/guest/idle.elf
for file in ./vmm build/bench/launcher build/bench/fleet build/bench/floor build/bench/clone_mark $guest $idle; do
	[ -r "$file" ] || die "there is no $file (make vmm guests bench-programs)"
done

to_us() { # NANOSECONDS
	awk -v ns="$1" 'BEGIN { printf "%.1f\n", ns / 1000 }'
}

# parse LINE: the launcher's, as variables.
parse() {
	local word
	for word in $1; do
		printf -v "seen_${word%%=*}" %s "${word#*=}"
	done
}

# launch WHO OPTION...: the launcher with these options and a command; $seen_... of what it saw. Nothing comes before the guest's own bytes,
# but for vmm's status line.
launch() {
	local line
	line=$("${launcher[@]}" "${@:2}" 2>"$tmp/err") || { cat "$tmp/err" >&2; die "$1 did not start: $line"; }
	parse "$line"
	grep -v '^{.*}$' "$tmp/err" | head -c 1 | grep -q '[w@]' || { cat "$tmp/err" >&2; die "$1: something comes before the guest's byte"; }
}

. bench/restore_linux.bash
if [ -n "$inside" ]; then
	measure_linux "$inside"
	cat "$samples"
	exit 0
fi
enter_namespace "${arguments[@]}"

devices() { # NAME: the options of a VM's devices
	options=(--disk "$tmp/disk,ro" --net "tap=$1" --vsock "cid=3,uds=$tmp/$1.sock")
}

# Each start has a TAP of its own: the kernel lets go of it some time after the VM's end.
prepare() {
	local most=$((runs > counts[-1] ? runs : counts[-1]))
	launcher=(build/bench/launcher)
	programs=(vmm floor floor-devices boot)
	truncate -s 8M "$tmp/disk"
	make_taps 0 "$most" clone
	make_taps 0 "$runs" floor
	make_taps 0 "$runs" boot
	if firecracker=$(command -v firecracker); then
		programs+=(firecracker)
		make_taps 0 $((runs > peer_vms ? runs : peer_vms)) peer
	else
		say "no firecracker on PATH: it is left out"
	fi
}

measure_snapshots() {
	local i n=$((runs < 5 ? runs : 5))
	for ((i = 0; i < n; i++)); do
		rm -f "$tmp/snap"
		devices "clone$((counts[-1] > runs ? counts[-1] : runs))"
		launch snapshot --status -- ./vmm --kernel $guest "${options[@]}" --snapshot "$tmp/snap" --status-fd 3
		sample vmm 'snapshot' us "$(to_us $((seen_result - seen_first_byte)))"
	done
	sample vmm 'size of the file' KiB "$(du -k "$tmp/snap" | cut -f 1)"
	./vmm --kernel $idle --cmdline snapshot "${options[@]}" --snapshot "$tmp/idle" </dev/null >"$tmp/out" || die "no idle snapshot"
	[[ " ${programs[*]} " == *' firecracker '* ]] || return 0
	fc_config $guest bytes=20000 "$tmp/disk" "peer0" snapshot >"$tmp/config"
	for ((i = 0; i < n; i++)); do
		sample firecracker 'snapshot' us "$(fc_snapshot "$tmp/config")"
	done
	sample firecracker 'size of the file' KiB "$(du -kc "$tmp/fc-state" "$tmp/fc-memory" | tail -n 1 | cut -f 1)"
}

# start WHO ROUND: a clone of its snapshot, but for round 0, which warms everything up.
start() {
	local command
	sleep 0.1
	case $1 in
	vmm) devices "clone$2" && launch vmm -- ./vmm --restore "$tmp/snap" "${options[@]}" ;;
	boot) devices "boot$2" && launch boot -- ./vmm --kernel $guest --cmdline mib=0 "${options[@]}" ;;
	floor) launch floor -- build/bench/floor --restore "$tmp/snap" ;;
	floor-devices)
		truncate -s 8M "$tmp/floor$2.img"
		launch floor -- build/bench/floor --restore "$tmp/snap" "floor$2" "$tmp/floor$2.img" "$tmp/floor$2.sock" ;;
	firecracker)
		fc_load "peer$2" "$2" >"$tmp/load"
		fc_command "$2"
		launch firecracker --kill --order-api "$tmp/fc-api$2" "$tmp/load" -- "${command[@]}" ;;
	esac
	[ "$2" = 0 ] || sample "$1" 'fork to first byte' us "$(to_us "$seen_first_byte")"
}

# Each program is first, second, third equally often.
measure_starts() {
	local round i n=${#programs[@]}
	for ((round = 0; round <= runs; round++)); do
		for ((i = 0; i < n; i++)); do
			start "${programs[(round + i) % n]}" "$round"
		done
	done
}

# Monitors that wait, and then get their order.
measure_orders() {
	local i command
	for ((i = 0; i <= runs; i++)); do
		devices "clone$i"
		launch waiting --order --order-after 150 -- ./vmm --restore "$tmp/snap" "${options[@]}" --start-fd 4
		[ $i = 0 ] || sample_order vmm us
		[[ " ${programs[*]} " == *' firecracker '* ]] || continue
		fc_load "peer$i" "order$i" >"$tmp/load"
		fc_command "order$i"
		launch firecracker --kill --order-after 150 --order-api "$tmp/fc-apiorder$i" "$tmp/load" -- "${command[@]}"
		[ $i = 0 ] || sample_order firecracker us
	done
}

sample_order() { # WHO UNIT
	sample "$1" 'order to first byte' "$2" "$(to_us $((seen_first_byte - seen_order)))"
	sample "$1" 'private, waiting' KiB "$seen_private_kib"
}

# take_fleet WHO: what fleet has printed becomes samples, and how many a second there were.
take_fleet() {
	local what n value
	while IFS=$'\t' read -r what n value; do
		case $what in
		start) sample "$1" "start, to $n clones" us "$value" ;;
		host) [ "$n" -lt 100 ] || sample "$1" "$what, $n clones" KiB "$value" ;;
		*) sample "$1" "$what, $n clones" KiB "$value" ;;
		esac
	done <"$tmp/fleet"
	while IFS=$'\t' read -r n value; do
		sample "$1" "rate, to $n clones" 1/s "$value"
	done < <(awk -F '\t' '$1 == "start" { us[$2] += $3; k[$2]++ } END { for (n in us) printf "%d\t%.1f\n", n, k[n] * 1e6 / us[n] }' "$tmp/fleet" | sort -n)
}

# vmm's clones have drivers that are ready and have read their disk once. Firecracker's have written to 26 MiB, and write their bytes.
measure_clones() {
	local i at=() command
	devices 'clone{}'
	build/bench/fleet --at "$(IFS=, && echo "${counts[*]}")" --ready $'disk ok\nready\n' -- ./vmm --restore "$tmp/idle" \
		"${options[@]}" >"$tmp/fleet" || die "the clones did not all run"
	take_fleet vmm
	for i in "${counts[@]}"; do [ "$i" -gt "$peer_vms" ] || at+=("$i"); done
	[[ " ${programs[*]} " == *' firecracker '* ]] && [ ${#at[@]} -gt 0 ] || return 0
	for ((i = 0; i < at[-1]; i++)); do fc_load "peer$i" "fleet$i" >"$tmp/load$i"; done
	fc_command 'fleet{}'
	build/bench/fleet --at "$(IFS=, && echo "${at[*]}")" --ready @ --order-api "$tmp/fc-apifleet{}" "$tmp/load{}" -- \
		"${command[@]}" >"$tmp/fleet" || die "Firecracker's clones did not all run"
	take_fleet firecracker
}

# compare WHAT UNIT: a line with vmm's and Firecracker's medians.
compare() {
	local ours theirs
	ours=$(p50 vmm "$1") theirs=$(p50 firecracker "$1")
	lines+=("restore: $1: vmm $ours $2, firecracker $theirs $2, ratio $(ratio "$theirs" "$ours")")
}

add_lines() {
	local what n ours least
	if [[ " ${programs[*]} " == *' firecracker '* ]]; then
		for what in snapshot 'fork to first byte' 'order to first byte'; do compare "$what" us; done
		for what in 'size of the file' 'private, waiting'; do compare "$what" KiB; done
	fi
	ours=$(p50 vmm 'fork to first byte')
	for n in "${counts[@]}"; do
		lines+=("restore: $n clones: $(p50 vmm "rate, to $n clones") a second, private $(p50 vmm "private, $n clones") KiB, resident $(
			p50 vmm "resident, $n clones") KiB")
	done
	lines+=("restore: order to first byte $(p50 vmm 'order to first byte') us, waiting with $(p50 vmm 'private, waiting') KiB")
	lines+=("restore: vmm $ours us, boot of the same guest $(p50 boot 'fork to first byte') us")
	for what in floor-devices floor; do
		least=$(p50 $what 'fork to first byte')
		lines+=("restore: vmm $ours us, $what $least us, ratio $(ratio "$ours" "$least")")
	done
}

lines=() conditions=
prepare
measure_snapshots
measure_starts
measure_orders
measure_clones
[ "$linux" = 0 ] || run_linux
add_lines
awk -F '\t' '!($1 in rank) { rank[$1] = NR } { print rank[$1] "\t" $0 }' "$samples" | sort -s -n -k 1,1 | cut -f 2- >"$tmp/sorted"
mv "$tmp/sorted" "$samples"
report_end "time and memory, this machine's KVM; bare-metal guests, 128 MiB, 1 vCPU, a disk, a NIC, a vsock$conditions" "${lines[@]}"
