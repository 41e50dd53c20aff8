#!/bin/bash
# SPDX-License-Identifier: MIT
# Disk, network and vsock of vmm on this machine's /dev/kvm, by poll-mode guests that do nothing else, beside the same
# work by plain programs of the host on the same files, TAPs and sockets, and the disk also beside Firecracker's, in
# turn; then Linux guests beside QEMU microvm, in the lab where this machine's KVM cannot run Linux (bench/README.md).
. "$(dirname "$0")/lib.bash"
# shellcheck source=bench/namespace.bash
. bench/namespace.bash

usage() {
	cat <<'END_USAGE'
usage: io.sh [options]
  --runs N             rounds; each measures everything once (default 5)
  --seconds N          how long each measurement takes (default 1)
  --peers DIR          a folder put before PATH, where Firecracker is looked for
  --no-linux           without the Linux guests
  --json               the results as one JSON object
END_USAGE
}

arguments=("$@") runs=5 seconds=1 linux=1 inside=0
while [ $# -gt 0 ]; do
	case $1 in
	--runs | --seconds | --peers)
		need_value "$1" $#
		case $1 in
		--runs) need_count "$1" "$2" && runs=$2 ;;
		--seconds) need_count "$1" "$2" && seconds=$2 ;;
		--peers) [ -d "$2" ] || bad_usage "--peers: there is no folder '$2'"; PATH=$(realpath -- "$2"):$PATH ;;
		esac
		shift ;;
	--no-linux) linux=0 ;;
	--json) json=1 ;;
	--inside) inside=1 ;; # in the lab: the Linux guests only
	--help) usage && exit 0 ;;
	*) bad_usage "unknown option $1 (see --help)" ;;
	esac
	shift
done
kticks=$((seconds * 2000000)) # of a TSC of about 2 GHz; the host measures the time

# rate WHO WHAT UNIT COMMAND...: runs it, and keeps its count a second.
rate() {
	local value
	value=$(bench/rate.py $((seconds * 5 + 10)) "${@:4}" 2>"$tmp/err") || { cat "$tmp/err" >&2; die "$1, $2: failed"; }
	[ "$round" = 0 ] || sample "$1" "$2" "$3" "$value"
}

blk_words() { # OP DEPTH BYTES RANDOM
	echo "op=$1 depth=$2 bytes=$3 random=$4 kticks=$kticks"
}

firecracker_rate() { # ENGINE WHAT WORDS
	cat >"$tmp/firecracker.json" <<END_JSON
{"boot-source": {"kernel_image_path": "build/bench/blk_bench.elf", "boot_args": "$3"},
 "drives": [{"drive_id": "disk", "path_on_host": "$tmp/disk", "is_root_device": false, "is_read_only": false,
             "io_engine": "$1"}],
 "machine-config": {"vcpu_count": 1, "mem_size_mib": 128}}
END_JSON
	rate "firecracker $1" "$2" "a second" "$firecracker" --no-api --no-seccomp --level Off --id "bench-$$" \
		--config-file "$tmp/firecracker.json"
}

# during COMMAND...: runs it in the background until its `during_end`; they nest.
background=()
during() {
	"$@" >/dev/null 2>&1 &
	background+=("$!")
}

during_end() {
	kill "${background[-1]}" 2>/dev/null || :
	wait "${background[-1]}" 2>/dev/null || :
	unset 'background[-1]'
}

# busy COMMAND...: runs it while something else keeps one CPU busy, as a guest does that polls.
busy() {
	during bash -c 'while [ $SECONDS -lt 60 ]; do :; done'
	"$@"
	during_end
}

fio_rate() { # WHO WHAT RW DEPTH BYTES
	local value
	value=$(fio --name=io --filename="$tmp/disk" --ioengine=io_uring --rw="$3" --bs="$5" --iodepth="$4" --direct=0 \
		--time_based --runtime="$seconds" --invalidate=0 --end_fsync=0 --output-format=json 2>"$tmp/err") ||
		{ cat "$tmp/err" >&2; die "$1, $2: failed"; }
	value=$(python3 -c 'import json, sys
job = json.load(sys.stdin)["jobs"][0]
print(job["read"]["iops"] + job["write"]["iops"])' <<<"$value")
	[ "$round" = 0 ] || sample "$1" "$2" "a second" "$value"
}

# block WHAT OP DEPTH BYTES RANDOM FIO-RW
block() {
	local words
	words=$(blk_words "${@:2:4}")
	rate vmm "$1" "a second" ./vmm --kernel build/bench/blk_bench.elf --disk "$tmp/disk" --cmdline "$words"
	[ "$3" != 32 ] || rate 'vmm, overlay' "$1" "a second" ./vmm --kernel build/bench/blk_bench.elf --disk "$tmp/disk,overlay" --cmdline "$words"
	fio_rate fio "$1" "$6" "$3" "$4"
	[ "$2" = read ] || busy fio_rate "fio, CPU busy" "$1" "$6" "$3" "$4"
	[ -z "$firecracker" ] || {
		firecracker_rate Sync "$1" "$words"
		firecracker_rate Async "$1" "$words"
	}
}

# The page cache holds the file: otherwise only the disk would be measured.
measure_block() {
	block 'randread 4k depth 1' read 1 4096 1 randread
	block 'randread 4k depth 32' read 32 4096 1 randread
	block 'randwrite 4k depth 1' write 1 4096 1 randwrite
	block 'randwrite 4k depth 32' write 32 4096 1 randwrite
	block 'read 1M' read 4 1048576 0 read
	block 'write 1M' write 4 1048576 0 write
}

net_guest() { # WHAT OP BYTES
	rate vmm "$1" frames/s ./vmm --kernel build/bench/net_bench.elf --net tap=tap0 \
		--cmdline "op=$2 bytes=$3 kticks=$kticks"
}

measure_net() {
	local bytes
	for bytes in 64 1514; do
		net_guest "net send $bytes" send $bytes
		rate host "net send $bytes" frames/s build/bench/io_peer tap-write tap1 $bytes "$seconds"
		during build/bench/io_peer flood tap0 $bytes $((seconds * 5 + 10))
		net_guest "net receive $bytes" receive $bytes
		during_end
		during build/bench/io_peer flood tap1 $bytes $((seconds * 5 + 10))
		rate host "net receive $bytes" frames/s build/bench/io_peer tap-read tap1 "$seconds"
		busy rate "host, CPU busy" "net receive $bytes" frames/s build/bench/io_peer tap-read tap1 "$seconds"
		during_end
		net_stream "net send $bytes" send $bytes serve sink
		net_stream "net receive $bytes" receive $bytes frames $bytes
	done
}

# The same frames through a Unix stream socket: WHAT OP BYTES SERVER...
net_stream() {
	rm -f "$tmp/frames"
	during build/bench/io_peer "${@:4}" "$tmp/frames"
	until [ -S "$tmp/frames" ]; do sleep 0.01; done
	rate 'vmm, stream' "$1" frames/s ./vmm --kernel build/bench/net_bench.elf --net "passt=$tmp/frames,mtu=1500" \
		--cmdline "op=$2 bytes=$3 kticks=$kticks"
	during_end
}

stream() { # WHAT UNIT OP SERVER
	rm -f "$tmp"/v.sock*
	during build/bench/io_peer serve "$4" "$tmp/v.sock_7000"
	until [ -S "$tmp/v.sock_7000" ]; do sleep 0.01; done
	rate vmm "$1" "$2" ./vmm --kernel build/bench/vsock_bench.elf --vsock "cid=3,uds=$tmp/v.sock" \
		--cmdline "op=$3 kticks=$kticks"
	rate host "$1" "$2" build/bench/io_peer client "$3" "$tmp/v.sock_7000" "$seconds"
	during_end
}

measure_vsock() {
	stream 'vsock send 4k' packets/s send sink
	stream 'vsock receive 4k' packets/s receive source
	stream 'vsock round trips' a/s turn echo
}

# line WHAT PEER: the line that sets vmm beside it.
line() {
	local ours theirs
	ours=$(p50 vmm "$1") theirs=$(p50 "$2" "$1")
	lines+=("io: $1: vmm $ours, $2 $theirs, ratio $(ratio "$ours" "$theirs")")
}

. bench/io_linux.bash
if [ "$inside" = 1 ]; then
	measure_linux
	cat "$samples"
	exit 0
fi
for file in ./vmm build/bench/io_peer build/bench/{blk,net,vsock}_bench.elf; do
	[ -r "$file" ] || die "there is no $file (make vmm bench-programs)"
done
command -v fio >/dev/null || die "there is no fio (make deps-bench)"
enter_namespace "${arguments[@]}"
firecracker=$(command -v firecracker) || say "no firecracker on PATH: it is left out"
make_taps 0 1 tap
head -c 256M /dev/zero | tr '\0' x >"$tmp/disk"
for ((round = 0; round <= runs; round++)); do # round 0 warms everything up
	[ "$round" -gt 0 ] || seconds_kept=$seconds
	measure_block
	measure_net
	measure_vsock
done
lines=()
for what in 'randread 4k depth 1' 'randread 4k depth 32' 'randwrite 4k depth 1' 'randwrite 4k depth 32' 'read 1M' 'write 1M'; do
	line "$what" fio
	[[ $what != *write* ]] || line "$what" 'fio, CPU busy'
	[[ $what != *32 ]] || line "$what" 'vmm, overlay'
	[ -z "$firecracker" ] || { line "$what" 'firecracker Sync'; line "$what" 'firecracker Async'; }
done
for what in 'net send 64' 'net send 1514' 'net receive 64' 'net receive 1514' 'vsock send 4k' 'vsock receive 4k' \
	'vsock round trips'; do
	line "$what" host
	[[ $what != *net\ receive* ]] || line "$what" 'host, CPU busy'
	[[ $what != net\ * ]] || line "$what" 'vmm, stream'
done
[ "$linux" = 0 ] || run_linux
report_end "time, this machine's KVM, poll-mode guests at CPL 3, 1 vCPU; files in the page cache$linux_conditions" \
	"${lines[@]}"
