#!/bin/bash
# SPDX-License-Identifier: MIT
# A guest prints a line and resets: exact bytes, nothing on stderr, status 0.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

vmm_run --kernel "$elf/hello.elf"
expect_status 0
expect_output "hello from the guest"
expect_no_errors

vmm_run --kernel=$elf/hello.elf --mem=8G --cpus 4
expect_status 0 "--mem 8G --cpus 4"
expect_output "hello from the guest"

vmm_run --kernel "$elf/hello.elf" --serial none
expect_status 0 "--serial none"
[ ! -s "$tmp/out" ] || die "--serial none, but stdout has bytes"

vmm_run --kernel "$elf/hello.elf" --serial "file:$tmp/console"
expect_status 0 "--serial file:"
[ ! -s "$tmp/out" ] || die "--serial file:, but stdout has bytes"
[ "$(cat "$tmp/console")" = "hello from the guest" ] || die "--serial file: lost the output"

# A launcher may have closed anything; no descriptor of the monitor may then become its stdout.
status=0
timeout -s KILL 20 ./vmm --kernel "$elf/hello.elf" <&- >&- 2>&- || status=$?
expect_status 0 "stdin, stdout and stderr closed"
status=0
timeout -s KILL 20 ./vmm --kernel "$elf/hello.elf" <&- >"$tmp/out" 2>"$tmp/err" || status=$?
expect_status 0 "stdin closed"
expect_output "hello from the guest"
