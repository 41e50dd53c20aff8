#!/bin/bash
# SPDX-License-Identifier: MIT
# Broken rings and chains (bug classes 5, 11, 14, 16, 19): the device needs a reset, and works after one.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

truncate -s 1M "$tmp/disk"
vmm_run --kernel "$elf/blk_broken.elf" --disk "$tmp/disk" --mem 128M
expect_status 0
expect_checks "head out of range" "next out of range" "loop of one" "loop of all" "buffer in device memory" \
	"buffer across the end" "buffer wraps" "buffer huge" "buffer empty" "readable after writable" "no status" \
	"short header" "index jump" "index back" "indirect not negotiated" "indirect empty" "indirect partial" \
	"indirect nested" "indirect with next" "indirect outside" "indirect too long" "indirect loop" \
	"indirect next outside"
expect_no_errors
