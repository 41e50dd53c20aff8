#!/bin/bash
# SPDX-License-Identifier: MIT
# All rows of tests/kernel/all, in a machine of the lab whose emulator runs 6.12, too.
. "$(dirname "$0")/../machines/machine.bash"
machine_command=tests/kernel/all
export CELL_TRIES=2
[[ $(lab/lab --check) != direct* ]] || exec $machine_command
in_machine --qemu 10 --time-limit 3500
