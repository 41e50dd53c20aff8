#!/bin/bash
# SPDX-License-Identifier: MIT
# A monitor that waits for its order has made all its threads, and confined them: the order only sets clocks and runs.
# It may name the clone, and its vsock's CID.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

# Whether all of the VM's threads are there, each with a system call filter.
all_stand() { # CPUS
	local status n=0 begun=0
	for status in /proc/$vmm_pid/task/*/status; do
		case $(head -1 "$status") in
		*vmm-vcpu*) n=$((n + 1)) ;;
		*vmm*) begun=1 ;;
		*) continue ;; # KVM's own, or not the monitor yet
		esac
		grep -q '^Seccomp:.*2' "$status" || return 1
	done
	[ $begun = 1 ] && [ $n = $(($1 - 1)) ]
}

# order STATUS LINE OPTION...: restores $tmp/snap by this order
order() {
	printf '%b' "$2" >"$tmp/line"
	status=0
	./vmm --restore "$tmp/snap" --start-fd 8 "${@:3}" 8<"$tmp/line" >"$tmp/out" 2>"$tmp/err" || status=$?
	expect_status "$1" "$2"
}

clone() { # CPUS OPTION...: restores $tmp/snap by an order
	local i
	rm -f "$tmp/order" && mkfifo "$tmp/order"
	./vmm --restore "$tmp/snap" --start-fd 8 "${@:2}" 8<>"$tmp/order" >"$tmp/out" 2>"$tmp/err" &
	vmm_pid=$!
	for ((i = 0; i < 100; i++)); do
		! all_stand "$1" || break
		sleep 0.05
	done
	all_stand "$1" || { show; die "$1 CPUs: not all threads stand confined before the order"; }
	[ ! -s "$tmp/out" ] || die "the guest runs before its order"
	echo go >"$tmp/order"
	status=0
	wait $vmm_pid || status=$?
	expect_status 0 "$1 CPUs"
	expect_no_errors
	rm "$tmp/snap"
}

for cpus in 1 2 5; do
	vmm_run --kernel "$elf/snapshot.elf" --cpus $cpus --cmdline mib=2 --snapshot "$tmp/snap"
	expect_status 0
	clone $cpus
	expect_checks memory registers fpu
done

# What the order tells: the clone, and no clone of that one.
vmm_run --kernel "$elf/snapshot.elf" --cmdline 'mib=1 rounds=2' --snapshot "$tmp/snap"
text=$(printf 'x%.0s' {1..255})
for line in 'go text=web 17, 10.0.0.17/24' "go text=$text"; do
	order 0 "$line\n"
	expect_output "$(printf '%s\n' "${line#go text=}" 'memory ok' 'registers ok' 'fpu ok' asks "${line#go text=}" 'memory ok' 'registers ok' 'fpu ok')"
done
order 0 'go text=first\n' --snapshot "$tmp/second"
mv "$tmp/second" "$tmp/snap"
order 0 'go\n'
expect_checks memory registers fpu
for line in 'stop\n' 'go x=1\n' 'go cid=2\n' 'go cid=7\n' "go text=x$text\n" "go text=$text$text"; do
	order 121 "$line"
	expect_error '--start-fd 8: '
	[ ! -s "$tmp/out" ] || die "the guest runs"
done
order 0 go # it ends before its line does
[ ! -s "$tmp/out" ] || die "the guest runs"
rm "$tmp/snap"
vmm_run --kernel "$elf/snapshot.elf" --cmdline mib=1 --vsock "cid=3,uds=$tmp/v" --snapshot "$tmp/snap"
order 0 'go cid=77 text=with a vsock\n' --vsock "cid=3,uds=$tmp/v"
expect_output "$(printf '%s\n' 'with a vsock' 'memory ok' 'registers ok' 'fpu ok')"
rm "$tmp/snap"

# With the other processors at work.
vmm_run --kernel "$elf/smp.elf" --cpus 4 --cmdline cpus=4
[ "$status" = 0 ] || exit 0
./vmm --kernel "$elf/control.elf" --cpus 4 --cmdline "cpus=4 counts=20" --control "$tmp/c" --snapshot "$tmp/snap" >"$tmp/first" &
vmm_pid=$!
wait_for "$tmp/first" 3
./vmm ctl "$tmp/c" snapshot >"$tmp/answer" || { cat "$tmp/answer"; die "no snapshot"; }
wait $vmm_pid || die "the VM ends with $?"
clone 4
cat "$tmp/first" "$tmp/out" >"$tmp/both"
cmp -s "$tmp/both" <(for ((i = 0; i < 20; i++)); do printf '%x\n' $i; done) || { cat "$tmp/both"; die "the counts"; }
