#!/bin/bash
# SPDX-License-Identifier: MIT
# A guest that ends while its disk's reads refill their own ring (bug class 25): the VM ends as ever, and what the
# guest has written is flushed.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
need_kvm

# Sector n of 2048: an available ring (flags, index, 128 heads of 0) with 32 more entries, and at 272 the header of a
# read of sector n + 1. Sector 2200 begins the circle.
python3 - "$tmp/disk" <<'END'
import struct, sys
def sector(n):
    ring = struct.pack("<HH", 0, (n + 1) * 32 % 65536).ljust(272, b"\0")
    return (ring + struct.pack("<IIQ", 0, 0, n % 2048)).ljust(512, b"\0")
with open(sys.argv[1], "wb") as file:
    file.write(b"".join(sector(n + 1) for n in range(2048)))
    file.write(bytes(152 * 512) + sector(0))
    file.truncate(2 << 20)
END
vmm_run --kernel "$elf/blk_selfread.elf" --disk "$tmp/disk"
expect_status 0
expect_checks "start" "write" "first" "turns"
expect_no_errors
