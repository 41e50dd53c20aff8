#!/bin/bash
# SPDX-License-Identifier: MIT
# The fast kernel, as vmlinux and as bzImage, with 64 MiB, the default 128 MiB, and 4 GiB: it comes up
# without a warning, finds its clock and its timer, and the exit status is 0.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/boot_check.bash"

boot_and_check vmlinux 1 64
boot_and_check bzImage 1 128
boot_and_check vmlinux 1 4096
passed "3 boots"
