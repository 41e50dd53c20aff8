#!/bin/bash
# SPDX-License-Identifier: MIT
# Debian's kernel under KVM's Intel side, in Bochs.
. "$(dirname "$0")/../machines/machine.bash"
machine_command=tests/kernel/short
in_machine --cpu intel
