#!/bin/bash
# SPDX-License-Identifier: MIT
# Device resets with up to 42 requests in flight (bug class 17), and a driver that does not wait for them.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm
TIME_LIMIT=120 # a busy disk takes long for 42 flushes and writes

# A page cache that holds the image answers before a reset can overtake; so it begins cold.
for round in 1 2 3; do
	disk=$tmp/disk$round
	head -c 24M /dev/urandom >"$disk"
	printf '\002\260\255\033' | dd of="$disk" conv=notrunc status=none
	sync "$disk"
	dd if="$disk" iflag=nocache count=0 status=none
	vmm_run --kernel "$elf/blk_reset.elf" --disk "$disk" --mem 128M --no-default-cmdline --cmdline rounds=$round
	expect_status 0
	expect_checks "reset in flight" "works after it" "impatient driver"
	expect_no_errors
	rm "$disk"
done

# A disk that takes longer than the register's write waits.
mkdir "$tmp/fuse"
if build/tests/guest/fuse_disk "$tmp/fuse" 512 -- true 2>/dev/null; then
	vmm_run_slow() {
		status=0
		timeout --foreground -s KILL $TIME_LIMIT build/tests/guest/fuse_disk "$tmp/fuse" 25165824 delay=5 -- sh -c '
			printf "\002\260\255\033" | dd of="$0/disk" conv=notrunc status=none
			exec ./vmm --kernel "$1" --disk "$0/disk" --mem 128M --no-default-cmdline' \
			"$tmp/fuse" "$elf/blk_reset.elf" >"$tmp/out" 2>"$tmp/err" || status=$?
	}
	vmm_run_slow
	expect_status 0
	expect_checks "reset in flight" "works after it" "impatient driver"
	expect_no_errors
fi
