#!/bin/bash
# SPDX-License-Identifier: MIT
# bench/memory.sh with few VMs; its sums against the kernel's own; that no VM outlives it.
# shellcheck source=tests/bench/bench_lib.bash
. "$(dirname "$0")/bench_lib.bash"
# shellcheck source=tests/guest/background.bash
. tests/guest/background.bash
number='[0-9]+(\.[0-9]+)?'
fleet=build/bench/fleet

expect_refused 'unknown option --nonsense' --nonsense
expect_refused '--vms needs a value' --vms
expect_refused "'x' is not a whole number" --vms '1 x'
expect_refused "does not rise" --vms '3 1'
need_kvm
need_namespace

fake_peer firecracker <<'END_PEER'
exec ./vmm --kernel build/bench/halt.elf
END_PEER
bench_run --vms '1 3' --peers "$tmp/peers" --peer-vms 1
expect_status 0
for n in 1 3; do
	expect_line "memory: $n VMs: private $number KiB, resident $number KiB, ram $number KiB, start $number us"
	expect_line "vmm +private, $n VMs +KiB +$n( +$number){3}"
	expect_line "vmm +start, to $n VMs +us +$((n == 1 ? 1 : 2))( +$number){3}"
done
expect_line "memory: private, 1 VMs: vmm $number KiB, firecracker $number KiB, ratio [0-9]+\.[0-9][0-9]"
expect_last "memory: 3 VMs: .*"
expect_none_left

bench_run --vms 1 --budget-kib 1 --json
expect_status 1 "over the budget"
expect_json 'r["bench"] == "memory" and len(r["lines"]) == 1'
grep -q 'over budget: ' "$tmp/err" || { show; die "it does not say that it is over the budget"; }

# fleet's sums, and the kernel's without the RAM's mapping, of a program whose pages are not yet on the disk: they are not the VM's.
cp ./vmm "$tmp/vmm"
vmm_start_halted() {
	"$tmp/vmm" --kernel build/bench/halt.elf >"$tmp/out" 2>"$tmp/err" </dev/null &
	vmm_pid=$!
	wait_for "$tmp/out" @
	sleep 0.3
}
# kernels FIELD [SHARED]: the sum of all mappings but the RAM's, and a field of the shared ones.
kernels() {
	local all
	all=$(awk -v f="$1:" '$1 == f { print $2 }' "/proc/$vmm_pid/smaps_rollup")
	awk -v f="$1:" -v g="${2-}:" -v sum="$all" '
		$1 ~ /^[0-9a-f]+-[0-9a-f]+$/ { shared = $2 ~ /s$/ }
		$1 == "Size:" { ram = $2 == 131072 }
		ram && $1 == f { sum -= $2 }
		shared && $1 == g { sum += $2 }
		END { print sum }' "/proc/$vmm_pid/smaps"
}
expect_near() { # NAME OURS THEIRS
	[ $(($2 - $3)) -le 64 ] && [ $(($3 - $2)) -le 64 ] || die "$1: fleet says $2 KiB, the kernel $3 KiB"
}
fleets() { # NAME
	awk -v f="$1" '$1 == f { print $3 }' "$tmp/fleet"
}
# With nobody beside them, who would make pages shared.
$fleet --at 1 -- "$tmp/vmm" --kernel build/bench/halt.elf >"$tmp/fleet"
vmm_start_halted
expect_near private "$(fleets private)" "$(kernels Anonymous Private_Dirty)"
expect_near resident "$(fleets resident)" "$(kernels Rss)"
kill "$vmm_pid"
wait "$vmm_pid" || :

# A VM that ends early, and one that says something else.
for command in false 'echo hello'; do
	status=0
	# shellcheck disable=SC2086
	$fleet --at 1 -- $command >"$tmp/out" 2>"$tmp/err" || status=$?
	expect_status 1 "$command"
	grep -q 'a VM has ended, or says other things' "$tmp/err" || { show; die "$command: it says something else"; }
done

# Its VMs end with it, whatever ends it.
$fleet --at 1,2 --settle-ms 60000 -- ./vmm --kernel build/bench/halt.elf --cmdline "$tmp" >"$tmp/out" 2>"$tmp/err" &
pid=$!
sleep 1
[ "$(ours | grep -c '^./vmm')" = 1 ] || die "not one VM runs: $(ours)"
kill -KILL $pid
wait $pid 2>/dev/null || :
sleep 0.5
expect_none_left
