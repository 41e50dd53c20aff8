#!/bin/bash
# SPDX-License-Identifier: MIT
# From a launcher's fork to the first byte that the guest writes and to the end of the process, on this machine's
# /dev/kvm: vmm with a disk, a NIC and a vsock, beside the least program that makes such a VM (floor.c) and beside
# Firecracker with the same devices (bench/README.md). In turn, so that all see the same machine.
. "$(dirname "$0")/lib.bash"
# shellcheck source=bench/namespace.bash
. bench/namespace.bash

usage() {
	cat <<'END_USAGE'
usage: startup.sh [options]
  --runs N             rounds; each starts every program once (default 100)
  --peers DIR          a folder put before PATH, where Firecracker is looked for
  --budget-us N        fail if vmm's median to the first byte is above
  --json               the results as one JSON object
END_USAGE
}

budget_us= arguments=("$@") runs=100
while [ $# -gt 0 ]; do
	case $1 in
	--runs | --peers | --budget-us)
		need_value "$1" $#
		case $1 in
		--runs) need_count "$1" "$2" && runs=$2 ;;
		--peers) [ -d "$2" ] || bad_usage "--peers: there is no folder '$2'"; PATH=$(realpath -- "$2"):$PATH ;;
		--budget-us) need_count "$1" "$2" && budget_us=$2 ;;
		esac
		shift ;;
	--json) json=1 ;;
	--help) usage && exit 0 ;;
	*) bad_usage "unknown option $1 (see --help)" ;;
	esac
	shift
done
guest=build/bench/start.elf
for file in ./vmm build/bench/launcher build/bench/floor $guest; do
	[ -r "$file" ] || die "there is no $file (make vmm bench-programs)"
done
enter_namespace "${arguments[@]}"

# Each start has devices of its own, as a launcher's VMs have: the kernel lets go of a VM's some time after its end.
prepare() {
	programs=(vmm vmm-unconfined floor floor-devices)
	make_taps 0 "$runs" vmmtap
	make_taps 0 "$runs" opentap
	make_taps 0 "$runs" floortap
	if firecracker=$(command -v firecracker); then
		programs+=(firecracker)
		make_taps 0 "$runs" peertap
	else
		say "no firecracker on PATH: it is left out"
	fi
	vmm_launcher=() vmm_status=()
	if ./vmm --help | grep -q -- --status-fd; then
		vmm_launcher=(--status) vmm_status=(--status-fd 3)
	fi
}

firecracker_config() { # ROUND
	cat <<END_JSON
{"boot-source": {"kernel_image_path": "$guest", "boot_args": ""},
 "drives": [{"drive_id": "rootfs", "path_on_host": "$tmp/firecracker$1.img",
             "is_root_device": true, "is_read_only": false}],
 "network-interfaces": [{"iface_id": "eth0", "host_dev_name": "peertap$1"}],
 "vsock": {"guest_cid": 3, "uds_path": "$tmp/firecracker$1.sock"},
 "machine-config": {"vcpu_count": 1, "mem_size_mib": 128}}
END_JSON
}

launch_vmm() { # WHO TAP ROUND OPTIONS...
	build/bench/launcher "${vmm_launcher[@]}" -- ./vmm --kernel $guest --rootfs "$tmp/$1$3.img" \
		--net "tap=$2" --vsock "cid=3,uds=$tmp/$1$3.sock" "${vmm_status[@]}" "${@:4}"
}

# launch WHO ROUND: one start; the launcher's line.
launch() {
	truncate -s 8M "$tmp/$1$2.img"
	# The kernel destroys the VM before this one, in part after its process.
	sleep 0.1
	case $1 in
	vmm) launch_vmm vmm "vmmtap$2" "$2" ;;
	vmm-unconfined) launch_vmm "$1" "opentap$2" "$2" --sandbox off ;;
	floor) build/bench/launcher -- build/bench/floor ;;
	floor-devices) build/bench/launcher -- build/bench/floor "floortap$2" "$tmp/floor-devices$2.img" "$tmp/floor$2.sock" ;;
	firecracker)
		firecracker_config "$2" >"$tmp/firecracker.json"
		# Its own log goes to stdout, too, and must not pass for the guest's first byte.
		build/bench/launcher -- "$firecracker" --no-api --no-seccomp --level Off --id "bench-$$" \
			--config-file "$tmp/firecracker.json" ;;
	esac
}

micro() {
	awk -v ns="$1" 'BEGIN { printf "%.1f\n", ns / 1000 }'
}

# start WHO ROUND: starts it once; its times become samples, but for round 0, which warms everything up.
start() {
	local line first result exit status
	line=$(launch "$1" "$2" 2>"$tmp/err") || { cat "$tmp/err" >&2; die "$1 did not start: $line"; }
	read -r first result exit _ status _ <<<"$(sed 's/[a-z_]*=//g' <<<"$line")"
	[ "$status" = 0 ] || { cat "$tmp/err" >&2; die "$1: exit status $status"; }
	# vmm's status line may be there, and that the sandbox is off; of the guest, its one byte and nothing before it.
	[ "$(grep -v '^{.*}$\|^vmm: --sandbox' "$tmp/err")" = @ ] || { cat "$tmp/err" >&2; die "$1: that is not the guest's byte alone"; }
	[ "$2" -gt 0 ] || return 0
	sample "$1" 'first byte' us "$(micro "$first")"
	[ "$result" = "$exit" ] || sample "$1" 'result' us "$(micro "$result")"
	sample "$1" 'exit' us "$(micro "$exit")"
}

# Each program is first, second, third equally often: one that ends may still cost the next one something.
measure() {
	local round i n=${#programs[@]}
	for ((round = 0; round <= runs; round++)); do
		for ((i = 0; i < n; i++)); do
			start "${programs[(round + i) % n]}" "$round"
		done
	done
	for ((i = 0; i < n; i++)); do grep -P "^${programs[i]}\t" "$samples"; done >"$tmp/sorted"
	mv "$tmp/sorted" "$samples"
}

# compare WHAT: the line that sets vmm beside Firecracker.
compare() {
	local ours theirs
	ours=$(p50 vmm "$1") theirs=$(p50 firecracker "$1")
	lines+=("startup: $1: vmm $ours us, firecracker $theirs us, ratio $(ratio "$theirs" "$ours")")
}

prepare
measure
lines=()
if [ "${#programs[@]}" = 5 ]; then
	compare 'first byte'
	compare 'exit'
fi
ours=$(p50 vmm 'first byte') least=$(p50 vmm-unconfined 'first byte')
lines+=("startup: vmm $ours us, without its sandbox $least us, $(awk -v a="$ours" -v b="$least" 'BEGIN { printf "%.0f", a - b }') us less")
least=$(p50 floor-devices 'first byte')
lines+=("startup: vmm $ours us, floor with the devices' system calls $least us, ratio $(ratio "$ours" "$least")")
least=$(p50 floor 'first byte')
lines+=("startup: vmm $ours us, floor $least us, ratio $(ratio "$ours" "$least")")
report_end "time, this machine's KVM; a guest of five instructions, 128 MiB, 1 vCPU, a disk, a NIC, a vsock" \
	"${lines[@]}"
if [ -n "$budget_us" ] && awk -v a="$ours" -v b="$budget_us" 'BEGIN { exit !(a > b) }'; then
	die "over budget: $ours us is more than $budget_us us"
fi
