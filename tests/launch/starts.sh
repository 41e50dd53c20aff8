#!/bin/bash
# SPDX-License-Identifier: MIT
# starts [COUNT]: so many VMs, 50 at a time, leave no file, socket, lock, process, TAP, cgroup or memory behind.
# long/starts is the same with 10,000. The TAPs are in a network namespace of the test's own.
[ "${NET_NAMESPACE-}" = yes ] || ! unshare --net true 2>/dev/null || NET_NAMESPACE=yes exec unshare --net -- "$0" "$@"
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/../guest/lib.sh"
need_kvm
mkdir "$tmp/files"
python3 tests/launch/starts.py "$tmp/files" "$elf" "${1:-500}"
