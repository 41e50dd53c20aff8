#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""overlay_merge.py BASE FILE: the disk that an overlay's FILE makes of its base, on stdout (docs/devices.md)."""
import os
import sys

BLOCK = 4096
base, file = (open(path, "rb") for path in sys.argv[1:])
size = os.fstat(base.fileno()).st_size // 512 * 512
blocks = -(-size // BLOCK)
header = file.read(BLOCK)
assert header[:16] == b"vmm overlay 1\n\0\0" and int.from_bytes(header[16:24], "little") == size, header[:24]
bits = file.read(-(-blocks // (8 * BLOCK)) * BLOCK)
for block in range(blocks):
    source, start = (file, BLOCK + len(bits)) if bits[block // 8] >> block % 8 & 1 else (base, 0)
    source.seek(start + block * BLOCK)
    sys.stdout.buffer.write(source.read(min(BLOCK, size - block * BLOCK)))
