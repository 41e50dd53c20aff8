#!/bin/bash
# SPDX-License-Identifier: MIT
# A signal during the set-up has the outcome that it has later: 128 + N, the line on --status-fd, no socket left. At any
# moment after exec, also as the first process of a PID namespace; while the monitor waits for an image, a TAP or a
# socket; and when it was blocked and pending before exec.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
command -v python3 >/dev/null || skip "python3 is not installed"
python3 -B tests/guest/signals_early.py "$elf/end.elf" "$tmp"
