#!/bin/bash
# SPDX-License-Identifier: MIT
# examples/oci: a VM in a container of runc, which has /dev/kvm, no capability and no system call that vmm does not need.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/../guest/lib.sh"
need_kvm
command -v runc >/dev/null || skip "runc is missing (make deps-test)"
[ "$(id -u)" = 0 ] || skip "the container's test needs root"
name=vmm-test-$$
truncate -s 1M "$tmp/image"

# bundle OPTION...: as the example makes it, but a system call that is not allowed kills.
bundle() {
	rm -rf "$tmp/bundle"
	examples/oci/bundle "$tmp/bundle" "$elf/end.elf" "$tmp/image" "$@"
	change 's/SCMP_ACT_ERRNO/SCMP_ACT_KILL_PROCESS/'
}

change() { # SED-COMMAND: in the container's configuration
	cp "$tmp/bundle/config.json" "$tmp/config.json"
	sed -i "$1" "$tmp/bundle/config.json"
	! cmp -s "$tmp/config.json" "$tmp/bundle/config.json" || die "nothing for $1 in config.json"
}

# The container's status, output and errors.
contain() {
	status=0
	timeout -s KILL 60 runc --root "$tmp/runc" run --bundle "$tmp/bundle" "$name" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
}
at_exit runc --root "$tmp/runc" delete --force "$name"

bundle --cmdline 'status=7'
contain
if grep -qE 'cgroup|operation not permitted|mounting' "$tmp/err"; then
	skip "runc cannot run a container here: $(tail -n 1 "$tmp/err" | cut -c 1-150)"
fi
expect_status 7 "a guest's own status"
expect_no_errors
bundle --cmdline 'flag=4660 reset'
contain
expect_status 126 "a guest that panics"

# What it is while it runs; SIGTERM reaches the first process of a PID namespace.
bundle --cmdline halt
contain &
contained=$!
wait_for "$tmp/out" running
pid=$(runc --root "$tmp/runc" state "$name" | sed -n 's/^ *"pid": \([0-9]*\),$/\1/p')
for line in $'CapEff:\t0000000000000000' $'CapBnd:\t0000000000000000' $'NoNewPrivs:\t1' $'Seccomp:\t2' $'Uid:\t65534\t65534\t65534\t65534'; do
	grep -qxF "$line" "/proc/$pid/status" || die "not so in the container: $line"
done
grep -qE '^[0-9]+ [0-9]+ [0-9:]+ [^ ]* / ro,' "/proc/$pid/mountinfo" || die "the container's root can be written"
[ "$(ls "/proc/$pid/root")" = $'dev\nimage\nkernel\nproc\nvmm' ] || die "in the container: $(ls "/proc/$pid/root")"
[ "$(ls "/proc/$pid/net/dev" && grep -c : "/proc/$pid/net/dev")" = "/proc/$pid/net/dev"$'\n1' ] || die "a network is in the container"
runc --root "$tmp/runc" kill "$name" TERM
wait $contained || :
[ -z "$(runc --root "$tmp/runc" list --quiet)" ] || die "the container is still there"

# Container runtimes' default profile forbids io_uring, which is told; so is a /dev/kvm that is not there.
bundle --cmdline reset
change 's/SCMP_ACT_KILL_PROCESS/SCMP_ACT_ERRNO/; s/"io_uring_[a-z]*", *//g'
contain
expect_status 122 "without io_uring"
expect_error 'io_uring.*Operation not permitted'
bundle --cmdline reset
change 's/"allow": true/"allow": false/'
contain
expect_status 122 "without /dev/kvm"
expect_error '/dev/kvm .*: Operation not permitted'
for controller in /sys/fs/cgroup /sys/fs/cgroup/*; do
	[ ! -e "$controller/$name" ] || die "$controller/$name is left"
done

# Rootless: a user with a /dev/kvm of his own, in a mount namespace of this test.
mkdir -m 755 "$tmp/home"
cp -r examples vmm "$elf/end.elf" "$tmp/image" "$tmp/home"
chmod 711 "$tmp"
mknod -m 600 "$tmp/kvm" c 10 232
chown 65534:65534 "$tmp/kvm" "$tmp/home"
# shellcheck disable=SC2016
as_user='mount --bind "$1/kvm" /dev/kvm; cd "$1/home"; shift; exec setpriv --reuid 65534 --regid 65534 --clear-groups -- "$@"'
rootless() {
	status=0
	timeout -s KILL 60 unshare -m sh -ec "$as_user" - "$tmp" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
}
if rootless unshare -Ur true && [ $status = 0 ]; then
	rootless examples/oci/bundle bundle end.elf image --cmdline 'status=9'
	expect_status 0 "a rootless bundle is made"
	rootless runc --root "$tmp/home/runc" run --bundle bundle "$name"
	expect_status 9 "a guest's own status, rootless"
	expect_no_errors
else
	echo "no user namespaces here: rootless is not tested"
fi
