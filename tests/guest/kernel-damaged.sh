#!/bin/bash
# SPDX-License-Identifier: MIT
# At least 300 damaged kernels and initrds: each is refused in one line, and no vCPU has run.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
python3 tests/guest/kernel_damaged.py "$tmp" "$elf/hello.elf" "${monitor[@]}"
