#!/bin/bash
# SPDX-License-Identifier: MIT
# The processors and their topology as Linux finds them: 1 to 16 vCPUs. long/kernel-sizes has more, and Debian's kernel.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/../kernel/topology.bash"

for n in 1 2 4 16; do check_topology fast $n; done
passed "1 2 4 16 vCPUs"
