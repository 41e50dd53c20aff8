#!/bin/bash
# SPDX-License-Identifier: MIT
# The SMP kernel, as vmlinux and as bzImage, with one and four vCPUs and up to 8 GiB: as boot-up.sh,
# and every vCPU is online.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/boot_check.bash"

boot_and_check vmlinux-smp 1 128
boot_and_check bzImage-smp 4 64
boot_and_check vmlinux-smp 4 4096
boot_and_check bzImage-smp 1 8192
passed "4 boots"
