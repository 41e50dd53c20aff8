#!/bin/bash
# SPDX-License-Identifier: MIT
# A person at a terminal: the shell's prompt, a command, Ctrl-c for the guest, Ctrl-a x for the
# monitor; the terminal is as before after that and after SIGTERM.
. "$(dirname "$0")/lib.sh"

command -v python3 >/dev/null || skip "python3 is not installed"
root=$(image_copy root)
exec_options=("$vmm" --kernel "$(guest_file bzImage)" --rootfs "$root,ro")
END_SECONDS=$((end_limit_ms / 1000)) python3 "$(dirname "$0")/console-pty.py" "${exec_options[@]}"
