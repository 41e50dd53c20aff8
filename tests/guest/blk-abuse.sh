#!/bin/bash
# SPDX-License-Identifier: MIT
# Registers of a virtio-mmio device at the hand of a hostile guest (bug classes 1 to 4 and 18): every width
# and offset, queues resized and moved in use, notify values, status and features out of order, bad queues.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

# The guest reads this mark to see whether the disk still works.
printf '\002\260\255\033' >"$tmp/disk"
truncate -s 1M "$tmp/disk"
cp "$tmp/disk" "$tmp/before"
vmm_run --kernel "$elf/blk_abuse.elf" --disk "$tmp/disk" --mem 128M
expect_status 0
expect_checks "start" "reads everywhere" "odd writes" "live rewrite" "notify anything" "status out of order" \
	"feature subsets" "bad queues"
expect_no_errors
cmp "$tmp/before" "$tmp/disk" || die "the image has changed"
