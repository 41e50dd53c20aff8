#!/bin/bash
# SPDX-License-Identifier: MIT
# docs/launcher.md's examples of what the host's tools do: timeout, and tc. (linux/io-max has the cgroup's.)
# shellcheck source=tests/guest/net_lib.bash
. "$(dirname "$0")/../guest/net_lib.bash"
need_kvm
line() { # its example that begins so
	sed -n '/^## What composes/,/^## Inher/s/^    //p' docs/launcher.md | grep "^$1" || die "docs/launcher.md has no $1"
}

typed=$(line 'timeout 10 vmm' | sed "s|timeout 10 vmm|timeout 2 ./vmm|; s|vmlinux.*|$elf/end.elf --cmdline|")
for case in "halt 124" "status=7 7"; do
	status=0
	eval "$typed ${case% *}" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
	expect_status "${case#* }" "$typed ${case% *}"
done

# 500 frames of 1,000 bytes at 100 kbit a second: most are dropped, and all arrive without a limit.
command -v tc >/dev/null || skip "tc is missing (make deps-test)"
make_tap vmtap0 0 1500
received() { # how many of the guest's queue's frames tc has passed on, and dropped
	tc -s qdisc show dev vmtap0 | sed -n 's/.* \([0-9]*\) pkt (dropped \([0-9]*\),.*/\1 \2/p'
}
send() {
	for ((i = 0; i < 500; i++)); do
		printf 'x%.0s' {1..1000} >/dev/udp/10.77.0.2/1 || :
	done 2>/dev/null
}
vmm_start --kernel "$elf/net_io.elf" --net tap=vmtap0
python3 $host check 10.77.0.2 1500
typed=$(line 'tc qdisc' | sed 's/100mbit burst 64kb/100kbit burst 4kb/')
eval "$typed" 2>"$tmp/err" || skip "no tbf here: $(cat "$tmp/err")"
send
read -r sent dropped <<<"$(received)"
[ "${dropped:-0}" -gt 100 ] || die "tc has passed on $sent frames and dropped ${dropped:-none}"
tc qdisc del dev vmtap0 root
python3 $host check 10.77.0.2 1500
kill "$vmm_pid"
vmm_wait
expect_status 143
echo "$sent frames of 500 in time"
