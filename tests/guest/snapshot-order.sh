#!/bin/bash
# SPDX-License-Identifier: MIT
# A monitor that waits for its order has made all its threads, and confined them: the order only sets clocks and runs.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

# Whether all of the VM's threads are there, each with a system call filter.
all_stand() { # CPUS
	local status n=0
	for status in /proc/$vmm_pid/task/*/status; do
		case $(head -1 "$status") in
		*vmm-vcpu*) n=$((n + 1)) ;;
		*vmm*) ;;
		*) continue ;; # KVM's own
		esac
		grep -q '^Seccomp:.*2' "$status" || return 1
	done
	[ $n = $(($1 - 1)) ]
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
