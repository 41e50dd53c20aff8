#!/bin/bash
# SPDX-License-Identifier: MIT
# One writer to an image: a second monitor is refused in one clear line; readers share; the lock is gone when
# the monitor is gone.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

truncate -s 1M "$tmp/disk"
# The first monitor waits in its guest.
hold() {
	: >"$tmp/held"
	./vmm --kernel "$elf/end.elf" --cmdline spin --disk "$1" >"$tmp/held" 2>&1 </dev/null &
	pid=$!
	wait_for "$tmp/held" running
}

release() {
	kill -"$1" "$pid"
	wait "$pid" 2>/dev/null || :
}

hold "$tmp/disk"
for disk in "$tmp/disk" "$tmp/disk,ro"; do
	vmm_run --kernel "$elf/hello.elf" --disk "$disk"
	expect_status 122 "$disk while another monitor writes to it"
	expect_error "--disk ${disk%,ro}: .*in use"
done
release TERM

vmm_run --kernel "$elf/hello.elf" --disk "$tmp/disk" --disk "$tmp/disk"
expect_status 121 "the same image twice"
expect_error "--disk $tmp/disk: .*in use: it is also --disk $tmp/disk"
ln "$tmp/disk" "$tmp/link"
vmm_run --kernel "$elf/hello.elf" --rootfs "$tmp/link" --disk "$tmp/disk,ro"
expect_status 121 "the same image by two names"
expect_error "--disk $tmp/disk: .*in use: it is also --rootfs $tmp/link"

cp "$tmp/disk" "$tmp/shared"
hold "$tmp/shared,ro"
vmm_run --kernel "$elf/hello.elf" --disk "$tmp/shared,ro"
expect_status 0 "two readers"
vmm_run --kernel "$elf/hello.elf" --rootfs "$tmp/shared"
expect_status 122 "a writer beside a reader"
expect_error "--rootfs $tmp/shared: .*in use"
release TERM

# At once after the end of the one, the next may start.
for ((i = 0; i < 10; i++)); do
	vmm_run --kernel "$elf/blk_reset.elf" --disk "$tmp/disk" --no-default-cmdline
	expect_status 0 "run $i on the same image, right after the one before"
done
hold "$tmp/disk"
release KILL
vmm_run --kernel "$elf/hello.elf" --disk "$tmp/disk"
expect_status 0 "right after a monitor on the same image was killed"
