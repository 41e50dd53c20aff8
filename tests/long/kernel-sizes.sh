#!/bin/bash
# SPDX-License-Identifier: MIT
# All of tests/kernel/sizes, in a machine of the lab.
. "$(dirname "$0")/../machines/machine.bash"
machine_command=tests/kernel/sizes
[[ $(lab/lab --check) != direct* ]] || exec $machine_command
in_machine --cpus 1 --time-limit 3500
