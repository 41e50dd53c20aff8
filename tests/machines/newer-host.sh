#!/bin/bash
# SPDX-License-Identifier: MIT
# The short list under a newer host kernel and a newer QEMU.
. "$(dirname "$0")/machine.bash"
in_machine --host-kernel 6.12 --qemu 10
