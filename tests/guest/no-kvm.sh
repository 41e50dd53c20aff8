#!/bin/bash
# SPDX-License-Identifier: MIT
# Without /dev/kvm, without permission for it, or with something else in its place: exit status 122 and one line
# that says what to do.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
[ "$(id -u)" = 0 ] || skip "hiding /dev/kvm needs root"

# A user without rights: everything it needs is readable, /dev/kvm is not.
cp ./vmm "$elf/hello.elf" "$tmp"
chmod 755 "$tmp"
if [ "$(stat -c %A /dev/kvm | cut -c 8-9)" != "rw" ]; then
	status=0
	setpriv --reuid=65534 --regid=65534 --clear-groups "$tmp/vmm" --kernel "$tmp/hello.elf" \
		>"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
	expect_status 122 "no permission"
	expect_error '/dev/kvm .*group.*: Permission denied'
fi

unshare -m true 2>/dev/null || skip "no permission is checked; hiding /dev/kvm needs a mount namespace"

# shellcheck disable=SC2016 # expanded by the inner shell
# hidden COMMANDS: in a mount namespace of its own, then the monitor.
hidden() {
	status=0
	# shellcheck disable=SC2016 # for the inner shell
	unshare -m bash -c 'mount --make-rprivate / && '"$1"' && exec "$2/vmm" --kernel "$2/hello.elf"' \
		bash "" "$tmp" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
}

mkdir "$tmp/dev"
hidden 'mount --bind "$2/dev" /dev'
expect_status 122 "/dev/kvm is missing"
expect_error '/dev/kvm.*module.*: No such file'

hidden 'mount --bind /dev/null /dev/kvm'
expect_status 122 "/dev/kvm is no KVM"
expect_error '/dev/kvm: KVM_GET_API_VERSION: '

: >"$tmp/file"
hidden 'mount --bind "$2/file" /dev/kvm'
expect_status 122 "/dev/kvm is an empty file"
expect_error '/dev/kvm: '
