#!/bin/bash
# SPDX-License-Identifier: MIT
# examples/systemd/vmm@.service: systemd finds no fault in it, and little that it exposes; its command tells when the
# guest is ready, stops by SIGTERM, and ends as the guest.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/../guest/lib.sh"
need_kvm
for tool in systemd-analyze systemd-notify; do
	command -v $tool >/dev/null || skip "$tool is missing (make deps-test)"
done
unit=examples/systemd/vmm@.service

# It reads a unit, and no other of this machine.
cp $unit "$tmp/vmm@.service"
systemd-analyze verify --man=no "$tmp/vmm@name.service" >"$tmp/out" 2>&1 || { show; die "systemd-analyze verify"; }
[ ! -s "$tmp/out" ] || { show; die "systemd-analyze verify has something to say"; }
sed 's/^KillMode=mixed/KillMode=mixxed/' $unit >"$tmp/wrong@.service"
systemd-analyze verify --man=no "$tmp/wrong@name.service" >"$tmp/out" 2>&1 || :
grep -q mixxed "$tmp/out" || die "systemd-analyze verify reads nothing"
systemd-analyze security --offline=true --threshold=20 "$tmp/vmm@.service" >"$tmp/out" 2>&1 ||
	{ grep '^✗' "$tmp/out"; die "$(tail -n 1 "$tmp/out")"; }

truncate -s 1M "$tmp/image"
timeout -s KILL 200 tests/launch/unit.py $unit "$tmp" "$elf/end.elf" "$tmp/image"
