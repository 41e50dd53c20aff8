#!/bin/bash
# SPDX-License-Identifier: MIT
# The cost of an idle VM, and how it changes with their number: the private dirty and the resident memory of the
# monitor's process without the guest's RAM, that RAM, and the time of a start, for 1 to
# 1,000 VMs on this machine's /dev/kvm, each with a disk, a NIC and a vsock (bench/README.md).
. "$(dirname "$0")/lib.bash"
# shellcheck source=bench/namespace.bash
. bench/namespace.bash

usage() {
	cat <<'END_USAGE'
usage: memory.sh [options]
  --vms "N..."         numbers of VMs, rising (default "1 10 100 1000")
  --peers DIR          a folder put before PATH, where Firecracker is looked for
  --peer-vms N         at most so many VMs beside Firecracker (default 100)
  --budget-kib N       fail if vmm's median private memory is above, at the most VMs
  --json               the results as one JSON object
END_USAGE
}

budget_kib= arguments=("$@") counts=(1 10 100 1000) peer_vms=100
while [ $# -gt 0 ]; do
	case $1 in
	--vms | --peers | --peer-vms | --budget-kib)
		need_value "$1" $#
		case $1 in
		--vms) need_counts "$1" "$2" ;;
		--peers) [ -d "$2" ] || bad_usage "--peers: there is no folder '$2'"; PATH=$(realpath -- "$2"):$PATH ;;
		--peer-vms) need_count "$1" "$2" && peer_vms=$2 ;;
		--budget-kib) need_count "$1" "$2" && budget_kib=$2 ;;
		esac
		shift ;;
	--json) json=1 ;;
	--help) usage && exit 0 ;;
	*) bad_usage "unknown option $1 (see --help)" ;;
	esac
	shift
done
idle=build/tests/guest/idle.elf halt=build/bench/halt.elf
for file in ./vmm build/bench/fleet $idle $halt; do
	[ -r "$file" ] || die "there is no $file (make vmm guests bench-programs)"
done
enter_namespace "${arguments[@]}"
most=${counts[-1]}

# make_devices NAME COUNT: an image $tmp/NAME<i> and a TAP NAME<i> for each VM of a fleet.
make_devices() {
	local i
	for ((i = 0; i < $2; i++)); do echo "$tmp/$1$i"; done | xargs truncate -s 1M
	make_taps 0 $(($2 - 1)) "$1"
}

# The kernel destroys VMs in part after their processes; the last thing it lets go of are their TAPs.
wait_until_gone() { # NAME
	local i
	for ((i = 0; i < 600; i++)); do
		ip -o link | grep -q " $1[0-9]*:.*LOWER_UP" || break
		sleep 0.1
	done
	sleep 1
}

# fleet WHO COUNTS READY COMMAND...: starts so many VMs; what they cost becomes samples.
fleet() {
	local who=$1 what n value
	build/bench/fleet --at "$2" --ready "$3" -- "${@:4}" >"$tmp/fleet" || die "$who: the VMs did not all run"
	while IFS=$'\t' read -r what n value; do
		case $what in
		start) sample "$who" "start, to $n VMs" us "$value" ;;
		# The host's own ups and downs divided by a few VMs say nothing.
		host) [ "$n" -lt 100 ] || sample "$who" "$what, $n VMs" KiB "$value" ;;
		*) sample "$who" "$what, $n VMs" KiB "$value" ;;
		esac
	done <"$tmp/fleet"
}

# The drivers of this guest know vmm's devices; they are ready, with their buffers offered.
measure_vmm() {
	make_devices drivers "$most"
	fleet vmm "$(IFS=, && echo "${counts[*]}")" $'disk ok\nnic ok\nvsock ok\nready\n' ./vmm --kernel $idle \
		--disk "$tmp/drivers{}" --net tap=drivers{} --vsock "cid=3,uds=$tmp/drivers{}.sock"
	wait_until_gone drivers
}

# A guest without drivers that halts at once, which every monitor can run: its start is the monitor's doing.
measure_vmm_halted() {
	make_devices halted "$most"
	fleet 'vmm, no drivers' "$(IFS=, && echo "${counts[*]}")" @ ./vmm --kernel $halt \
		--rootfs "$tmp/halted{}" --net tap=halted{} --vsock "cid=3,uds=$tmp/halted{}.sock"
	wait_until_gone halted
}

firecracker_config() { # NUMBER
	cat <<END_JSON
{"boot-source": {"kernel_image_path": "$halt", "boot_args": ""},
 "drives": [{"drive_id": "rootfs", "path_on_host": "$tmp/peer$1",
             "is_root_device": true, "is_read_only": false}],
 "network-interfaces": [{"iface_id": "eth0", "host_dev_name": "peer$1"}],
 "vsock": {"guest_cid": 3, "uds_path": "$tmp/peer$1.sock"},
 "machine-config": {"vcpu_count": 1, "mem_size_mib": 128}}
END_JSON
}

measure_firecracker_halted() {
	local i at=()
	for i in "${counts[@]}"; do [ "$i" -gt "$peer_vms" ] || at+=("$i"); done
	if ! firecracker=$(command -v firecracker) || [ ${#at[@]} = 0 ]; then
		say "no firecracker on PATH, or no such number of VMs: it is left out"
		return
	fi
	both=${at[-1]}
	for ((i = 0; i < both; i++)); do firecracker_config $i >"$tmp/config$i"; done
	make_devices peer "$both"
	fleet 'firecracker, no drivers' "$(IFS=, && echo "${at[*]}")" @ "$firecracker" --no-api --no-seccomp \
		--level Off --id 'bench-{}' --config-file "$tmp/config{}"
	wait_until_gone peer
}

# compare WHAT UNIT: vmm and Firecracker at the most VMs of both.
compare() {
	local ours theirs
	ours=$(p50 'vmm, no drivers' "$1 $both VMs") theirs=$(p50 'firecracker, no drivers' "$1 $both VMs")
	lines+=("memory: $1 $both VMs: vmm $ours $2, firecracker $theirs $2, ratio $(ratio "$theirs" "$ours")")
}

both=0 lines=()
measure_vmm
measure_vmm_halted
measure_firecracker_halted
if [ "$both" -gt 0 ]; then
	compare 'private,' KiB
	compare 'resident,' KiB
	compare 'ram,' KiB
	compare 'start, to' us
fi
for n in "${counts[@]}"; do
	ours=$(p50 vmm "private, $n VMs")
	lines+=("memory: $n VMs: private $ours KiB, resident $(p50 vmm "resident, $n VMs") KiB, ram $(
		p50 vmm "ram, $n VMs") KiB, start $(p50 'vmm, no drivers' "start, to $n VMs") us")
done
report_end "time and memory, this machine's KVM; idle guests, 128 MiB, 1 vCPU, a disk, a NIC, a vsock" "${lines[@]}"
if [ -n "$budget_kib" ] && awk -v a="$ours" -v b="$budget_kib" 'BEGIN { exit !(a > b) }'; then
	die "over budget: $ours KiB is more than $budget_kib KiB"
fi
