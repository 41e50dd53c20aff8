#!/bin/bash
# SPDX-License-Identifier: MIT
# Snapshots on this machine's /dev/kvm: how long one takes and how large it is, from a launcher's fork to a clone's first byte, from the
# order to the first byte of a monitor that waits, and what 1 to 1,000 clones of one file cost (bench/README.md). vmm with a disk, a NIC
# and a vsock, 128 MiB, 26 of them in use.
. "$(dirname "$0")/lib.bash"
# shellcheck source=bench/namespace.bash
. bench/namespace.bash

usage() {
	cat <<'END_USAGE'
usage: restore.sh [options]
  --runs N             restores, and orders (default 100)
  --vms "N..."         numbers of clones, rising (default "1 10 100 1000")
  --json               the results as one JSON object
END_USAGE
}

arguments=("$@") counts=(1 10 100 1000) runs=100
while [ $# -gt 0 ]; do
	case $1 in
	--runs | --vms)
		need_value "$1" $#
		case $1 in
		--runs) need_count "$1" "$2" && runs=$2 ;;
		--vms) read -r -a counts <<<"$2" ;;
		esac
		shift ;;
	--json) json=1 ;;
	--help) usage && exit 0 ;;
	*) bad_usage "unknown option $1 (see --help)" ;;
	esac
	shift
done
guest=build/bench/clone.elf idle=build/tests/guest/idle.elf
for file in ./vmm build/bench/launcher build/bench/fleet $guest $idle; do
	[ -r "$file" ] || die "there is no $file (make vmm guests bench-programs)"
done
enter_namespace "${arguments[@]}"
most=$((runs > counts[-1] ? runs : counts[-1]))
truncate -s 8M "$tmp/disk"
make_taps 0 "$most" clone

devices() { # NUMBER: the options of a VM's devices
	options=(--disk "$tmp/disk,ro" --net "tap=clone$1" --vsock "cid=3,uds=$tmp/clone$1.sock")
}

micro() {
	awk -v ns="$1" 'BEGIN { printf "%.1f\n", ns / 1000 }'
}

# first WHO COMMAND...: to its first byte.
first() {
	local line
	sleep 0.1
	line=$(build/bench/launcher -- "${@:2}" 2>"$tmp/err") || { cat "$tmp/err" >&2; die "$1 did not start: $line"; }
	[ "$(cat "$tmp/err")" = @ ] || { cat "$tmp/err" >&2; die "$1: that is not the guest's byte alone"; }
	sample "$1" 'first byte' us "$(micro "$(sed 's/^[a-z_]*=\([0-9]*\).*/\1/' <<<"$line")")"
}

measure_snapshots() {
	local i start
	devices "$most"
	for ((i = 0; i < 5; i++)); do
		rm -f "$tmp/snap"
		start=$(date +%s%N)
		./vmm --kernel $guest "${options[@]}" --snapshot "$tmp/snap" </dev/null || die "no snapshot"
		sample vmm 'boot, 26 MiB written, snapshot, end' us "$(micro $(($(date +%s%N) - start)))"
	done
	sample vmm 'size of the file' KiB "$(du -k "$tmp/snap" | cut -f 1)"
	./vmm --kernel $idle --cmdline snapshot "${options[@]}" --snapshot "$tmp/idle" </dev/null >"$tmp/out" || die "no idle snapshot"
}

measure_starts() {
	local i
	for ((i = 0; i < runs; i++)); do
		devices $i
		first restore ./vmm --restore "$tmp/snap" "${options[@]}"
		first boot ./vmm --kernel $guest --cmdline mib=0 "${options[@]}"
	done
}

measure_orders() {
	local private us
	devices '{}'
	bench/order.py "$runs" -- ./vmm --restore "$tmp/snap" "${options[@]}" >"$tmp/orders" || die "the orders failed"
	while IFS=$'\t' read -r private us; do
		sample waiting 'private' KiB "$private"
		sample waiting 'order to first byte' us "$us"
	done <"$tmp/orders"
}

measure_clones() {
	local what n value
	devices '{}'
	build/bench/fleet --at "$(IFS=, && echo "${counts[*]}")" --ready $'disk ok\nready\n' -- ./vmm --restore "$tmp/idle" \
		"${options[@]}" >"$tmp/fleet" || die "the clones did not all run"
	while IFS=$'\t' read -r what n value; do
		case $what in
		start) sample clones "start, to $n" us "$value" ;;
		host) [ "$n" -lt 100 ] || sample clones "$what, $n" KiB "$value" ;;
		*) sample clones "$what, $n" KiB "$value" ;;
		esac
	done <"$tmp/fleet"
}

measure_snapshots
measure_starts
measure_orders
measure_clones
report_end "time and memory, this machine's KVM; 128 MiB, 1 vCPU, a disk, a NIC, a vsock" \
	"restore: fork to a clone's first byte $(p50 restore 'first byte') us, boot of the same guest $(p50 boot 'first byte') us" \
	"restore: order to first byte $(p50 waiting 'order to first byte') us, waiting with $(p50 waiting private) KiB"
