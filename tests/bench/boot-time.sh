#!/bin/bash
# SPDX-License-Identifier: MIT
# bench/boot-time.sh with one round: by time where this machine's KVM runs Linux, by counts in the lab elsewhere.
# shellcheck source=tests/bench/bench_lib.bash
. "$(dirname "$0")/bench_lib.bash"
number='[0-9]+(\.[0-9]+)?'
unit=count other=ms
! lab/lab --check | grep -q '^direct' || unit=ms other=count

expect_refused 'unknown option --nonsense' --nonsense
expect_refused '--runs needs a value' --runs
expect_refused "'nothing' is none of" --against nothing
need_kvm
bench_run --runs 1 --budget-$other 1
expect_status 2 "--budget-$other"
tail -n 1 "$tmp/err" | grep -q -- "^boot-time: --budget-$other: " || { show; die "it does not say which budget applies"; }

bench_run --runs 1 --phases
expect_status 0
expect_last "boot: vmm $number(, [a-z]+ $number, ratio [0-9]+\.[0-9][0-9])?"
for what in 'first byte' exit 'end of stdout' userspace; do
	expect_line "vmm +$what +$unit +1( +$number){3}"
done
if [ $unit = count ]; then
	# Where nothing is waited for, KVM_CREATE_VM has returned in a count.
	bench_run --runs 1 --phases --favordynmods --host-words init_on_alloc=0
	expect_status 0 "with the host's options"
	expect_line "vmm +vm_created +count +1 +0\.[0-9]+ .*"
	grep -q 'its kernel with init_on_alloc=0; its cgroups with favordynmods$' "$tmp/err" ||
		{ show; die "it does not say how the host was changed"; }
fi
bench_run --runs 1 --json --budget-$unit 1
expect_status 1 "over the budget"
expect_json "r['bench'] == 'boot-time' and {s['unit'] for s in r['series']} == {'$unit'}"
grep -q 'over budget: ' "$tmp/err" || { show; die "it does not say that it is over the budget"; }
