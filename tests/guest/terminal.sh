#!/bin/bash
# SPDX-License-Identifier: MIT
# The console on a terminal: raw while the guest runs, as before at every end; Ctrl-c goes to the guest,
# Ctrl-a x ends the VM.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
command -v python3 >/dev/null || skip "python3 is not installed"
python3 tests/guest/terminal.py "$elf"
