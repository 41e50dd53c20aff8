#!/bin/bash
# SPDX-License-Identifier: MIT
# bench/startup.sh in short runs; a program that stands for Firecracker shows how a peer is treated.
# shellcheck source=tests/bench/bench_lib.bash
. "$(dirname "$0")/bench_lib.bash"
number='[0-9]+(\.[0-9]+)?'

expect_refused 'unknown option --nonsense' --nonsense
expect_refused '--runs needs a value' --runs
expect_refused "'0' is not a whole number" --runs 0
expect_refused "no folder" --peers "$tmp/nowhere"
need_kvm
need_namespace

bench_run --runs 3
expect_status 0
expect_last "startup: vmm $number us, floor $number us, ratio [0-9]+\.[0-9][0-9]"
expect_line "startup: vmm $number us, without its sandbox $number us, -?[0-9]+ us less"
for who in vmm vmm-unconfined floor; do
	for what in 'first byte' exit; do
		expect_line "$who +$what +us +3( +$number){3}"
	done
done
tail -n 1 "$tmp/out" | awk '{ d = $9 - $3 / $6; exit !(d * d < 0.0001) }' || { show; die "that is not the ratio"; }
expect_none_left

bench_run --runs 1 --budget-us 1
expect_status 1 "over the budget"
grep -q 'over budget: ' "$tmp/err" || { show; die "it does not say that it is over the budget"; }
bench_run --runs 1 --budget-us 100000000
expect_status 0 "within the budget"

fake_peer firecracker <<'END_PEER'
exec ./vmm --kernel build/bench/start.elf
END_PEER
bench_run --runs 2 --peers "$tmp/peers"
expect_status 0 "with a peer"
expect_line "startup: first byte: vmm $number us, firecracker $number us, ratio [0-9]+\.[0-9][0-9]"
expect_line "startup: exit: vmm $number us, firecracker $number us, ratio [0-9]+\.[0-9][0-9]"
bench_run --runs 2 --peers "$tmp/peers" --json
expect_status 0 "--json"
expect_json 'r["bench"] == "startup" and len(r["lines"]) == 5'
expect_json '{s["who"] for s in r["series"]} == {"vmm", "vmm-unconfined", "floor", "floor-devices", "firecracker"}'
expect_json 'all(len(s["values"]) == 2 for s in r["series"])'

# A peer's log must not pass for its guest's first byte.
fake_peer firecracker <<'END_PEER'
echo "a line of the log"
exec ./vmm --kernel build/bench/start.elf
END_PEER
bench_run --runs 1 --peers "$tmp/peers"
expect_status 1 "a peer that logs to stdout"
grep -q "not the guest's byte alone" "$tmp/err" || { show; die "a log line passed for the guest's byte"; }
