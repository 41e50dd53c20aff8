#!/bin/bash
# SPDX-License-Identifier: MIT
# Boot to userspace, side by side with other monitors, each on its own best known command line (bench/README.md).
# From the launcher's fork to the first byte that userspace writes to the console, and to the launcher knowing the
# end. Where this machine's KVM runs Linux it measures time; elsewhere it runs in the counted lab and measures
# instructions: one count is a million of them.
. "$(dirname "$0")/lib.bash"
. bench/kernels.bash
. bench/lab_root.bash

usage() {
	cat <<'END_USAGE'
usage: boot-time.sh [options]
  --runs N             rounds; each boots every monitor once (default 20 by time, 9 by counts, which repeat)
  --kernel FILE        an ELF vmlinux (default: the project's, without SMP)
  --kernels debian     Debian's kernels instead, each once: packed, unpacked, with an initrd and with an ext4 root (256 MiB;
                       needs make guest-debian)
  --rows WORD          of these only the rows that have the word
  --rootfs FILE        an ext4 image (default: the project's, with init=/sbin/boot-mark)
  --cmdline WORDS      more words for every guest's kernel
  --against LIST       of qemu, kvmtool, firecracker, or none (default: those found on PATH)
  --peers DIR          a folder put before PATH
  --budget-ms N        fail if vmm's median is above; by time only
  --budget-count N     fail if vmm's median is above; by counts only
  --host-words WORDS   more words for the kernel of the counted lab, which is the host of all monitors
  --favordynmods       the counted lab's cgroups with this option
  --phases             vmm's own boot phases, too
  --json               the results as one JSON object
END_USAGE
}

kernel=build/guest/vmlinux rootfs=build/guest/rootfs.ext4 words= against= budget_ms= budget_count=
host_words= favordynmods=0 phases=0 inside=0 own_rootfs=1 kernels= initrd= mem=128 only=
while [ $# -gt 0 ]; do
	case $1 in
	--runs | --kernel | --kernels | --rows | --rootfs | --cmdline | --against | --peers | --budget-ms | --budget-count | --host-words)
		need_value "$1" $#
		case $1 in
		--runs) need_count "$1" "$2" && runs=$2 ;;
		--kernel) kernel=$2 ;;
		--kernels) [ "$2" = debian ] || bad_usage "--kernels $2: only 'debian' can be asked for"; kernels=$2 ;;
		--rows) only=$2 ;;
		--rootfs) rootfs=$2 own_rootfs=0 ;;
		--cmdline) words=$2 ;;
		--host-words) host_words=$2 ;;
		--against) against=$2 ;;
		--peers) PATH=$(realpath -- "$2"):$PATH ;;
		--budget-ms) need_count "$1" "$2" && budget_ms=$2 ;;
		--budget-count) need_count "$1" "$2" && budget_count=$2 ;;
		esac
		shift ;;
	--phases) phases=1 ;;
	--favordynmods) favordynmods=1 ;;
	--json) json=1 ;;
	--inside) inside=1 ;; # in the counted lab already
	--help) usage && exit 0 ;;
	*) bad_usage "unknown option $1 (see --help)" ;;
	esac
	shift
done
[ "$own_rootfs" = 0 ] || [ -n "$kernels" ] || words="init=/sbin/boot-mark $words"

program_of() {
	case $1 in
	qemu) echo qemu-system-x86_64 ;;
	kvmtool) echo lkvm ;;
	firecracker) echo firecracker ;;
	*) bad_usage "--against: '$1' is none of qemu, kvmtool, firecracker" ;;
	esac
}

# The peers on this machine, in $peers.
find_peers() {
	local peer program
	peers=()
	[ "$against" != none ] || return 0
	for peer in ${against:-firecracker qemu kvmtool}; do
		program=$(program_of "$peer") || exit
		if command -v "$program" >/dev/null; then
			peers+=("$peer")
		elif [ -n "$against" ]; then
			die "--against $peer: there is no $program on PATH"
		else
			say "no $program on PATH: $peer is left out"
		fi
	done
}

firecracker_config() {
	printf '{"boot-source":{"kernel_image_path":"%s",%s"boot_args":"%s"},' "$kernel" \
		"${initrd:+\"initrd_path\":\"$initrd\",}" "$quiet_words $words"
	printf '"drives":['
	[ -z "$1" ] || printf '{"drive_id":"rootfs","path_on_host":"%s","is_root_device":true,"is_read_only":false}' "$1"
	printf '],"machine-config":{"vcpu_count":1,"mem_size_mib":%s}}\n' "$mem"
}

program_path() {
	if [ "$inside" = 1 ]; then
		echo "/usr/bin/$(program_of "$1")"
	else
		command -v "$(program_of "$1")"
	fi
}

# launch WHO IMAGE DELAY: one boot, begun DELAY us from now; the launcher's line.
launch() {
	local machine=("$launcher" --delay-us "$3")
	[ "$inside" = 0 ] || machine=(chroot /run/lab "${machine[@]}")
	case $1 in
	vmm)
		machine+=(--status -- "$vmm" --status-fd 3 --kernel "$kernel" --mem "${mem}M" --boot-timer ${2:+--rootfs "$2"}
			${initrd:+--initrd "$initrd"} ${words:+--cmdline "8250.nr_uarts=0 $words"}) ;;
	firecracker)
		firecracker_config "$2" >"$scratch/firecracker.json"
		machine+=(-- "$(program_path firecracker)" --no-api --no-seccomp --id "bench-$$" --level Off --config-file "$seen_scratch/firecracker.json") ;;
	qemu)
		machine+=(-- "$(program_path qemu)" -M "microvm,pit=off,pic=off,$([ -n "$kernels" ] && echo acpi=on,rtc=on || echo acpi=off,rtc=off)" -enable-kvm
			-cpu host -m "${mem}M" -smp 1 -nodefaults -no-user-config -display none -no-reboot -serial stdio
			-kernel "$kernel" ${initrd:+-initrd "$initrd"}
			-append "${quiet_words/reboot=k,f/reboot=t} ${2:+root=/dev/vda rw }${words/reboot=k/reboot=t}"
			${2:+-drive "id=root,file=$2,format=raw,if=none" -device 'virtio-blk-device,drive=root'}) ;;
	kvmtool)
		machine+=(-- "$(program_path kvmtool)" run -k "$kernel" ${2:+-d "$2"} ${initrd:+-i "$initrd"} -c 1 -m $mem --console serial
			-p "$quiet_words $words") ;;
	esac
	"${machine[@]}"
}

# The words that spare every monitor's guest what it does not need; vmm has them by default, but for the i8042's, which its reset
# port makes needless.
quiet_words='panic=-1 reboot=k,f quiet 8250.nr_uarts=0 tsc=reliable i8042.noaux i8042.dumbkbd
 nr_cpus=1 pci=off no_timer_check random.trust_cpu=on'
quiet_words=${quiet_words//$'\n'/}

take_phases() {
	sed -n 's/^vmm: boot-timer: //p' "$1" | tr ' ' '\n' | while IFS== read -r name value; do
		[ -z "$name" ] || sample vmm "${name%_us}" "$unit" "$(awk -v v="$value" 'BEGIN { print v / 1000 }')"
	done
}

# boot WHO ROUND [ROW]: boots once; its times become samples, but for round 0: the first VM of a machine costs more. It comes
# a tenth of a second after the one before, which the kernel still destroys after its process; and the rounds begin
# at different places in the host's tick of 4 ms, for which KVM_CREATE_VM waits.
boot() {
	local line first result exit out_end status name=$1${3:+, $3} image=
	if [ -n "$rootfs" ]; then
		cp --sparse=always "$own_view$rootfs" "$scratch/image"
		image=$seen_scratch/image
	fi
	line=$(launch "$1" "$image" $((100000 + $2 * 900 % 4000)) 2>"$tmp/err") || { cat "$tmp/err" >&2; die "$name did not boot: $line"; }
	# The emulated processor loses a 6.12 now and then, whatever the monitor.
	if [ -n "$kernels" ] && ! grep -qa '@UP@' "$tmp/err"; then
		say "$name: its kernel crashed, once more"
		line=$(launch "$1" "$image" 100000 2>"$tmp/err") && grep -qa '@UP@' "$tmp/err" ||
			{ cat "$tmp/err" >&2; die "$name did not boot: $line"; }
	fi
	read -r first result exit out_end status _ <<<"$(sed 's/[a-z_]*=//g' <<<"$line")"
	[ "$status" = 0 ] || { cat "$tmp/err" >&2; die "$name: exit status $status"; }
	[ "$2" -gt 0 ] || return 0
	sample "$name" 'first byte' "$unit" "$(milli "$first")"
	sample "$name" 'result' "$unit" "$(milli "$result")"
	sample "$name" 'exit' "$unit" "$(milli "$exit")"
	sample "$name" 'end of stdout' "$unit" "$(milli "$out_end")"
	[ "$phases$1" != 1vmm ] || take_phases "$tmp/err"
}

milli() {
	awk -v ns="$1" 'BEGIN { printf "%.3f\n", ns / 1e6 }'
}

measure() {
	local round who row warm=0
	if [ -n "$kernels" ]; then
		mem=$row_mem
		for row in "${row_names[@]}"; do
			[[ $row == *"$only"* ]] || continue
			row_use "$row"
			# The first to read a file's pages pays for the host's accounts of them, some 500 instructions a page.
			cat "$own_view$kernel" ${initrd:+"$own_view$initrd"} >/dev/null
			[ "$warm" = 1 ] || { boot vmm 0 "$row" && warm=1; }
			for who in vmm "${peers[@]}"; do
				for ((round = 1; round <= runs; round++)); do
					boot "$who" "$round" "$row"
				done
			done
		done
		return
	fi
	for ((round = 0; round <= runs; round++)); do
		for who in vmm "${peers[@]}"; do
			boot "$who" "$round"
		done
	done
}

measure_in_lab() {
	local option file options=(--inside --runs "$runs" --cmdline "$words")
	local copies=(--tmpfs-copy ./vmm --tmpfs-copy build/bench/launcher)
	if [ -n "$kernels" ]; then
		options+=(--kernels "$kernels" --rows "$only")
		for file in "${needed[@]}" "$mark"; do copies+=(--tmpfs-copy "$file"); done
	else
		options+=(--kernel "/$(basename "$kernel")" --rootfs "/$(basename "$rootfs")")
		copies+=(--tmpfs-copy "$kernel" --tmpfs-copy "$rootfs")
	fi
	for option in "${peers[@]}"; do
		copies+=(--tmpfs-copy "$(command -v "$(program_of "$option")")")
		for file in $(peer_files "$(program_of "$option")"); do
			[ "${copies[*]/"$file"/}" != "${copies[*]}" ] || copies+=(--tmpfs-copy "$file")
		done
	done
	[ "$phases" = 0 ] || options+=(--phases)
	[ "$favordynmods" = 0 ] || options+=(--favordynmods)
	option=$(IFS=,; echo "${peers[*]}")
	PATH=$PATH lab/lab --quiet --counted --kernel-words "$host_words" --time-limit 900 "${copies[@]}" -- "$0" "${options[@]}" \
		--against "$option" >"$samples" || die "the counted lab failed"
}

over_budget() {
	[ -n "$1" ] && awk -v a="$2" -v b="$1" 'BEGIN { exit !(a > b) }'
}

peers=()
if [ "$inside" = 1 ]; then
	files= mark=/mark.cpio
	vmm=/vmm launcher=/launcher own_view=/run/lab scratch=/run/lab seen_scratch= unit=count
	make_root
	[ "$favordynmods" = 0 ] || mount -o remount,favordynmods /sys/fs/cgroup || die "the cgroups do not take favordynmods"
	IFS=, read -r -a peers <<<"$against"
	measure
	cat "$samples"
	exit 0
fi

files=build/guest mark=$tmp/mark.cpio
needed=("$kernel" "$rootfs")
[ -z "$kernels" ] || row_files
for file in ./vmm build/bench/launcher "${needed[@]}"; do
	[ -r "$file" ] || die "there is no $file (make bench-programs guest guest-debian)"
done
[ -z "$kernels" ] || make_mark_initrd "$mark"
find_peers
vmm=./vmm launcher=build/bench/launcher own_view= scratch=$tmp seen_scratch=$tmp
if lab/lab --check | grep -q '^direct'; then
	[ -z "$budget_count" ] || bad_usage "--budget-count: this machine's KVM runs Linux: use --budget-ms"
	[ -z "$host_words" ] && [ "$favordynmods" = 0 ] || bad_usage "--host-words, --favordynmods: only in the counted lab"
	unit=ms runs=${runs:-20}
	conditions="time, this machine's KVM"
	measure
else
	[ -z "$budget_ms" ] || bad_usage "--budget-ms: this machine's KVM cannot run Linux: use --budget-count"
	unit=count runs=${runs:-$([ -n "$kernels" ] && echo 1 || echo 9)}
	conditions="counted lab: one count is a million instructions of the emulated machine"
	[ -z "$host_words" ] || conditions+="; its kernel with $host_words"
	[ "$favordynmods" = 0 ] || conditions+="; its cgroups with favordynmods"
	measure_in_lab
fi
say "measured by $conditions"
if [ -n "$kernels" ]; then
	report_end "$conditions"
	exit 0
fi
ours=$(p50 vmm 'first byte')
lines=()
for who in "${peers[@]}"; do
	theirs=$(p50 "$who" 'first byte')
	lines+=("boot: vmm $ours, $who $theirs, ratio $(ratio "$theirs" "$ours")")
done
[ ${#peers[@]} -gt 0 ] || lines+=("boot: vmm $ours")
report_end "$conditions" "${lines[@]}"
if over_budget "$budget_ms$budget_count" "$ours"; then
	die "over budget: $ours is more than $budget_ms$budget_count"
fi
