#!/bin/bash
# SPDX-License-Identifier: MIT
# examples/oci/seccomp.json allows exactly what the program calls: by its instructions, and as guests run under it.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/../guest/lib.sh"
need_kvm
confined=tests/launch/confined.py
/usr/bin/python3 -c 'import seccomp' 2>/dev/null || skip "python3-seccomp is missing (make deps-test)"
profile=examples/oci/seccomp.json
[ -e build/vmm.debug ] || die "there is no build/vmm.debug (make)"

tests/launch/system_calls.py build/vmm.debug $profile
# What that test would miss, it would not see.
for change in 's/"io_uring_enter", //' 's/"umask", //' 's/"access", /&"reboot", /'; do
	sed "$change" $profile >"$tmp/profile"
	! cmp -s $profile "$tmp/profile" || die "nothing for $change in $profile"
	! tests/launch/system_calls.py build/vmm.debug "$tmp/profile" >"$tmp/out" || die "$change is not noticed"
done

# A call that is not allowed kills.
status=0
bash -c '"$0" /bin/true' $confined 2>"$tmp/err" || status=$?
expect_status 159 "a program that is not vmm"

for name in hello blk-io net-io vsock-io smp timer; do
	status=0
	MONITOR="$confined ./vmm" "tests/guest/$name.sh" >"$tmp/out" 2>"$tmp/err" || status=$?
	[ $status = 0 ] || [ $status = 77 ] || { show; die "guest/$name under the profile: exit status $status"; }
done
