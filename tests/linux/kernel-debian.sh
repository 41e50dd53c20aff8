#!/bin/bash
# SPDX-License-Identifier: MIT
# Debian's kernels as packages have them, and the project's: a short list of what tests/kernel/all boots.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/../kernel/cells.bash"

cells_open
cell debian vmlinux on 1
cell debian bzImage on 2
cell debian-amd64 vmlinux on 1
cell debian-amd64 vmlinux off 1
cell fast vmlinux on 1
cell fast vmlinux off 2
passed "6 kernels"
