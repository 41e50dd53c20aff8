#!/bin/bash
# SPDX-License-Identifier: MIT
# A shell's jobs: in the background the monitor leaves the terminal alone, in front it has it, whatever brought it
# there: a start, fg, bg, a stop. With dash, bash and busybox's ash.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
command -v python3 >/dev/null || skip "python3 is not installed"
for shell in dash bash busybox; do
	command -v $shell >/dev/null || skip "$shell is not installed"
done
python3 tests/guest/job_control.py "$elf"
