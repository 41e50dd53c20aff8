#!/bin/bash
# SPDX-License-Identifier: MIT
# Which layers of the sandbox there are on this host: for root, for an ordinary user, in a container, and where nobody may
# make user namespaces. --check, a start and --sandbox strict say the same. Before that the same with a kernel that answers as Linux 5.12
# does, in lines with 5.12* before them. machines/sandbox-hosts makes the documents' table of both.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
[ "$(id -u)" = 0 ] || skip "only root can be all of them"
timeout -s KILL 125 python3 tests/guest/sandbox_hosts.py ./vmm "$elf/hello.elf" 5.12 >"$tmp/older" || die "sandbox_hosts.py 5.12"
sed 's/^/5.12* /' "$tmp/older"
timeout -s KILL 125 python3 tests/guest/sandbox_hosts.py ./vmm "$elf/hello.elf" || die "sandbox_hosts.py"
