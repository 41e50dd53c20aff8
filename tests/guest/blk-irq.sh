#!/bin/bash
# SPDX-License-Identifier: MIT
# A virtio-blk driver by interrupt: one for each request, none when none is wanted, one for a batch with
# EVENT_IDX, and the configuration interrupt of a broken ring.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

truncate -s 1M "$tmp/disk"
vmm_run --kernel "$elf/blk_irq.elf" --disk "$tmp/disk"
expect_status 0
expect_checks "start" "one by one" "none wanted" "start" "event-idx one by one" "event-idx one for a batch" \
	"configuration change"
expect_no_errors
